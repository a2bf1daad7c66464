"""`before` and `after` a named plugin."""

import pytest

from crow_hooks import PluginValidationError


def names(pm):
    return [impl.plugin_name for impl in reversed(pm.hook.many.get_hookimpls())]


def noted(name):
    return lambda value: name


def test_before_and_after(pm, add):
    add("many", "a", noted("a"), before="c")
    add("many", "b", noted("b"))
    add("many", "c", noted("c"))
    assert pm.hook.many(value=1) == ["b", "a", "c"] == names(pm)
    add("many", "d", noted("d"), after=["a", "c"])
    assert names(pm) == ["b", "a", "c", "d"]


def test_whoever_waited_takes_its_place_again(pm, add):
    add("many", "a", noted("a"))
    add("many", "b", noted("b"), after="a")
    assert names(pm) == ["a", "b"]
    pm.unregister(name="a")
    add("many", "c", noted("c"), trylast=True)
    assert names(pm) == ["b", "c"]


def test_an_absent_plugin_constrains_nothing(pm, add):
    add("many", "a", noted("a"), before="nobody", after="nothing")
    assert names(pm) == ["a"]


def test_a_circle_is_refused_and_changes_nothing(pm, add):
    add("many", "a", noted("a"), before="b")
    with pytest.raises(PluginValidationError, match='make a circle: "(a|b)" before "(a|b)" before') as raised:
        add("many", "b", noted("b"), before="a")
    assert raised.value.plugin is not None
    assert names(pm) == ["a"]
    assert not pm.has_plugin("b")


def test_tiers_are_not_crossed(pm, add):
    add("many", "early", noted("early"), tryfirst=True)
    with pytest.raises(PluginValidationError, match='"late" cannot come before plugin "early"'):
        add("many", "late", noted("late"), before="early")


def test_wrappers_are_outside(pm, add):
    def wrapper(value):
        return (yield)

    add("many", "inner", noted("inner"))
    with pytest.raises(PluginValidationError, match="cannot come before"):
        add("many", "wrapper", wrapper, wrapper=True, after="inner")
    add("many", "outer", wrapper, wrapper=True)
    add("many", "outermost", wrapper, wrapper=True, after="outer")
    assert names(pm) == ["outer", "outermost", "inner"]


def test_options_are_in_the_dict_only_when_given():
    from conftest import hookimpl

    assert "before" not in hookimpl(lambda: 1).test_impl
    assert hookimpl(lambda: 1, after="x").test_impl["after"] == "x"
