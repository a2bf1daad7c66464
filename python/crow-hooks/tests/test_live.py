"""A call is worked out once for a call site; whatever changes, the next call does the new thing."""

import gc
import weakref

import pytest

from crow_hooks import HookCaller
from crow_hooks import HookImpl
from crow_hooks import PluginManager


def call(pm):
    return pm.hook.many(value=1)


def test_registering_and_unregistering(pm, add):
    assert call(pm) == []
    add("many", "a", lambda value: "a")
    assert call(pm) == ["a"]
    pm.unregister(name="a")
    assert call(pm) == []


def test_registering_during_a_call_is_for_the_next(pm, add):
    add("many", "a", lambda value: add("many", "b", lambda value: "b") and "a" if not pm.has_plugin("b") else "a")
    assert call(pm) == ["a"]
    assert call(pm) == ["b", "a"]


def test_unregistering_during_a_call_is_for_the_next(pm, add):
    add("many", "last", lambda value: "last")
    add("many", "a", lambda value: (pm.unregister(name="last") if pm.has_plugin("last") else None) and "a" or "a")
    assert call(pm) == ["a", "last"]
    assert call(pm) == ["a"]


def test_a_hookimpl_that_is_changed(pm, add):
    add("many", "a", lambda value: "a")
    assert call(pm) == ["a"]
    pm.hook.many.get_hookimpls()[0].function = lambda value: "changed"
    assert call(pm) == ["changed"]


def test_the_live_list_that_is_changed(pm, add):
    add("many", "a", lambda value: "a")
    add("many", "b", lambda value: "b")
    subset = pm.subset_hook_caller("many", [pm.get_plugin("a")])
    assert (call(pm), subset(value=1)) == (["b", "a"], ["b"])
    pm.hook.many._hookimpls.reverse()
    assert call(pm) == ["a", "b"]
    pm.hook.many._hookimpls.pop(0)
    assert (call(pm), subset(value=1)) == (["a"], [])


def test_the_history_may_be_set(pm):
    with pytest.raises(AssertionError, match="call_historic"):
        pm.hook.past(value=1)
    pm.hook.past._call_history = None
    assert pm.hook.past(value=1) == []
    pm.hook.past._call_history = []
    with pytest.raises(AssertionError, match="call_historic"):
        pm.hook.past(value=1)


def test_call_sites_with_other_names(pm, add):
    add("many", "a", lambda value: value)
    for number in range(30):
        names = {"value": number, **{f"extra{each}": each for each in range(number % 12)}}
        assert pm.hook.many(**names) == [number]


def test_names_that_are_not_interned(pm, add):
    add("many", "a", lambda value: value)
    assert pm.hook.many(**{"".join(["val", "ue"]): 7}) == [7]


def test_many_arguments_and_methods():
    from conftest import hookimpl

    class Plugin:
        @hookimpl
        def wide(self, a, b, c, d, e, f, g, h, i, j):
            return [a, b, c, d, e, f, g, h, i, j]

    pm = PluginManager("test")
    pm.register(Plugin())
    assert pm.hook.wide(**dict(zip("jihgfedcba", range(10)))) == [list(range(9, -1, -1))]


def test_more_results_than_fit_on_the_stack(pm, add):
    for number in range(40):
        add("many", f"p{number}", lambda value, number=number: number)
    assert call(pm) == list(range(39, -1, -1))


def test_many_wrappers(pm, add):
    def wrapper(value):
        return [*(yield), 1]

    for number in range(30):
        add("many", f"w{number}", wrapper, wrapper=True)
    assert call(pm) == [1] * 30


def test_a_manager_that_executes_itself(add):
    class Own(PluginManager):
        def _hookexec(self, hook_name, methods, kwargs, firstresult):
            seen.append((hook_name, [impl.plugin_name for impl in methods], dict(kwargs), firstresult))
            return super()._hookexec(hook_name, methods, kwargs, firstresult)

    from conftest import Specs
    from conftest import hookimpl

    seen = []
    pm = Own("test")
    pm.add_hookspecs(Specs)
    pm.register(type("P", (), {"first": staticmethod(hookimpl(lambda value: value))})(), "p")
    assert pm.hook.first(value=3) == 3
    assert seen == [("first", ["p"], {"value": 3}, True)]


def test_another_function_may_execute(pm, add):
    add("many", "a", lambda value: "a")
    assert call(pm) == ["a"]
    before = pm._inner_hookexec
    pm._inner_hookexec = lambda name, impls, kwargs, firstresult: (name, len(impls), kwargs, firstresult)
    assert call(pm) == ("many", 1, {"value": 1}, False)
    pm._inner_hookexec = before
    assert call(pm) == ["a"]


def test_a_writer_that_comes_during_a_traced_call(pm, add):
    lines = []
    pm.enable_tracing()
    add("many", "a", lambda value: pm.trace.root.setwriter(lines.append))
    call(pm)
    assert lines == ["  finish many --> [] [hook]\n"]
    assert pm.trace.root.indent == 0


def test_nothing_is_leaked(pm, add):
    plugin = add("many", "a", lambda value: "a")
    subset = pm.subset_hook_caller("many", [plugin])
    assert (call(pm), subset(value=1)) == (["a"], [])

    class Canary:
        """Weakly referenced."""

    plugin.canary = Canary()
    canary = weakref.ref(plugin.canary)
    pm.unregister(name="a")
    del plugin, subset
    gc.collect()
    assert canary() is None


def test_a_manager_is_collected_with_its_hooks(add, pm):
    from conftest import Specs
    from conftest import hookimpl

    class Plugin:
        @hookimpl
        def many(self, value):
            return 1

    manager = PluginManager("test")
    manager.add_hookspecs(Specs)
    plugin = Plugin()
    plugin.manager = manager
    manager.register(plugin)
    assert manager.hook.many(value=1) == [1]
    gone = weakref.ref(plugin)
    del manager, plugin
    gc.collect()
    assert gone() is None


def test_callers_may_be_derived_from(pm):
    class Mine(HookCaller):
        """Own."""

    mine = Mine("mine", pm._hookexec)
    mine._add_hookimpl(HookImpl("plugin", "name", lambda x: x, dict.fromkeys(_FLAGS, False)))
    assert mine(x=1) == [1]


_FLAGS = ("wrapper", "hookwrapper", "optionalhook", "tryfirst", "trylast", "specname")


def test_hooks_that_call_themselves_without_end(pm, add):
    add("many", "a", lambda value: pm.hook.many(value=value))
    with pytest.raises(RecursionError):
        call(pm)


def test_exceptions_keep_their_context(pm, add):
    def fails(value):
        try:
            raise KeyError("inner")
        except KeyError:
            raise ValueError("outer")

    add("many", "a", fails)
    with pytest.raises(ValueError) as raised:
        call(pm)
    assert isinstance(raised.value.__context__, KeyError)


def test_arguments_of_a_wrong_kind(pm):
    from crow_hooks._native import _multicall

    with pytest.raises(TypeError, match="expected a HookImpl"):
        _multicall("name", [object()], {}, False)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        HookImpl("plugin")
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        pm.hook.many.call_extra([], kwargs={}, other=1)


def test_a_subset_that_is_collected_in_a_circle(pm, add):
    plugin = add("many", "a", lambda value: "a")
    add("many", "b", lambda value: "b")
    circle = [pm.subset_hook_caller("many", [plugin])]
    circle.append(circle)
    assert circle[0](value=1) == ["b"]
    del circle
    gc.collect()
    # Changes are told to the subsets of a hook; this one is gone.
    add("many", "c", lambda value: "c")
    assert call(pm) == ["c", "b", "a"]


def test_everything_with_the_collector_at_work(pm, add):
    def old(value):
        outcome = yield
        outcome.force_result([*outcome.get_result(), "old"])

    def new(value):
        return [*(yield), "new"]

    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for number in range(20):
            add("many", f"p{number}", lambda value, number=number: [number])
            add("many", f"old{number}", old, hookwrapper=True)
            add("many", f"new{number}", new, wrapper=True)
            call(pm)
            pm.hook.many.call_extra([lambda value: 1], {"value": 1})
            pm.subset_hook_caller("many", [pm.get_plugin("p0")])(value=1)
            if number % 3 == 0:
                pm.unregister(name=f"p{number}")
    finally:
        gc.set_threshold(*before)
    assert len(call(pm)) == 13 + 40
