"""Results with names, errors that go no further, entry points."""

import asyncio
import importlib
import logging
import sys

import pytest

from crow_hooks import PluginManager


def test_results_with_names(pm, add):
    add("many", "a", lambda value: 1)
    add("many", "none", lambda value: None)
    add("many", "b", lambda value: 2)
    assert pm.call_named("many", value=0) == [("b", 2), ("a", 1)]
    add("first", "one", lambda value: "x")
    assert pm.call_named("first", value=0) == ("one", "x")


def test_what_a_wrapper_made_is_nobodys(pm, add):
    def wrapper(value):
        return [*(yield), "made"]

    add("many", "a", lambda value: 1)
    add("many", "wrapper", wrapper, wrapper=True)
    assert pm.call_named("many", value=0) == [("a", 1), (None, "made")]
    assert asyncio.run(_awaited(pm.ahook.many.named(value=0))) == [("a", 1), (None, "made")]


async def _awaited(awaitable):
    return await awaitable


def test_isolated_impls_fail_alone(pm, add):
    errors = []
    pm.on_error = lambda hook, plugin, error: errors.append((hook, plugin, repr(error)))

    def fails(value):
        raise ValueError("no")

    def wrapper(value):
        result = yield
        raise KeyError("wrapper")

    def no_start(value):
        raise OSError("start")
        yield

    add("apart", "good", lambda value: 1)
    add("apart", "fails", fails)
    add("apart", "better", lambda value: 2)
    add("apart", "wrapper", wrapper, wrapper=True)
    add("apart", "no_start", no_start, wrapper=True)
    told = [
        ("apart", "no_start", "OSError('start')"),
        ("apart", "fails", "ValueError('no')"),
        ("apart", "wrapper", "KeyError('wrapper')"),
    ]
    assert pm.hook.apart(value=0) == [2, 1]
    assert errors == told
    errors.clear()
    assert asyncio.run(_awaited(pm.ahook.apart(value=0))) == [2, 1]
    assert errors == told
    errors.clear()
    undo = pm.enable_tracing()
    assert pm.hook.apart(value=0) == [2, 1]
    undo()
    assert errors == told


def test_leaving_is_not_isolated(pm, add):
    def leaves(value):
        raise SystemExit(3)

    add("apart", "leaves", leaves)
    with pytest.raises(SystemExit):
        pm.hook.apart(value=0)


def test_errors_are_logged_by_default(pm, add, caplog):
    def fails(value):
        raise ValueError("no")

    add("apart", "fails", fails)
    with caplog.at_level(logging.ERROR):
        assert pm.hook.apart(value=0) == []
    assert "plugin 'fails': hook 'apart': ValueError('no')" in caplog.text


def test_a_plugin_of_before_the_specification_is_isolated_too():
    from conftest import Specs
    from conftest import hookimpl

    class Plugin:
        @hookimpl
        def apart(self, value):
            raise ValueError("no")

    pm = PluginManager("test")
    pm.register(Plugin(), "early")
    pm.add_hookspecs(Specs)
    errors = []
    pm.on_error = lambda *args: errors.append(args[:2])
    assert pm.hook.apart(value=1) == []
    assert errors == [("apart", "early")]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs distributions with entry points: `installed(name=source, ...)`."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(group, **plugins):
        info = tmp_path / "demo-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
        lines = [f"[{group}]"]
        for name, (source, extras) in plugins.items():
            (tmp_path / f"demo_{name}.py").write_text(source)
            lines.append(f"{name} = demo_{name}{extras}")
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        importlib.invalidate_caches()

    yield install
    for name in [name for name in sys.modules if name.startswith("demo_")]:
        del sys.modules[name]


GOOD = "from crow_hooks import HookimplMarker\nhookimpl = HookimplMarker('test')\n"
GOOD += "@hookimpl\ndef many(value):\n    return 'good'\n"


def test_broken_plugins_are_reported_and_the_others_loaded(pm, installed):
    installed(
        "group",
        good=(GOOD, ""),
        missing=("import nothing_of_that_name\n", ""),
        syntax=("def (:\n", ""),
        leaves=("import sys\nsys.exit(3)\n", ""),
        wrong=(GOOD.replace("(value)", "(other)"), ""),
    )
    report = pm.load_entrypoints("group")
    assert report.loaded == ["good"]
    assert {name: type(error).__name__ for name, error in report.failed.items()} == {
        "missing": "ModuleNotFoundError",
        "syntax": "SyntaxError",
        "leaves": "SystemExit",
        "wrong": "PluginValidationError",
    }
    assert pm.hook.many(value=1) == ["good"]
    assert [dist.metadata["name"] for _, dist in pm.list_plugin_distributions()] == ["demo"]
    assert pm.load_entrypoints("group", "good").loaded == []


def test_lazy_plugins_are_imported_when_called(pm, installed):
    installed("group", good=(GOOD, ""), other=(GOOD.replace("def many", "def first"), " [first]"), bad=("1/0\n", ""))
    errors = []
    pm.on_error = lambda hook, plugin, error: errors.append((plugin, type(error)))
    assert pm.load_entrypoints("group", lazy=True).lazy == ["good", "other", "bad"]
    assert not [name for name in sys.modules if name.startswith("demo_")]
    assert pm.hook.many(value=1) == ["good"]
    assert errors == [("bad", ZeroDivisionError)]
    assert "demo_other" not in sys.modules
    assert pm.hook.first(value=1) == "good"
    # Nothing stands between a call and the native loop any more.
    assert pm._inner_hookexec == PluginManager("test")._inner_hookexec


def test_lazy_plugins_are_imported_when_awaited(pm, installed):
    installed("group", good=(GOOD, ""))
    pm.load_entrypoints("group", lazy=True)
    assert asyncio.run(_awaited(pm.ahook.many(value=1))) == ["good"]


def test_all_lazy_plugins_at_once(pm, installed):
    installed("group", good=(GOOD, ""))
    pm.load_entrypoints("group", lazy=True)
    pm.load_lazy()
    assert pm.has_plugin("good")


def test_a_derived_manager_may_have_an_ahook_of_its_own():
    class Own(PluginManager):
        def __init__(self):
            super().__init__("test")
            self.ahook = "own"

        def on_error(self, hook_name, plugin_name, error):
            return None

    assert Own().ahook == "own"
