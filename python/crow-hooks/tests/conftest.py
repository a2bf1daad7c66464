import pytest

from crow_hooks import HookimplMarker
from crow_hooks import HookspecMarker
from crow_hooks import PluginManager


hookspec = HookspecMarker("test")
hookimpl = HookimplMarker("test")


class Specs:
    @hookspec
    def many(self, value):
        """Collects."""

    @hookspec(firstresult=True)
    def first(self, value):
        """Takes the first."""

    @hookspec(isolate=True)
    def apart(self, value):
        """Each on its own."""

    @hookspec(historic=True)
    def past(self, value):
        """Remembers."""


@pytest.fixture
def pm():
    manager = PluginManager("test")
    manager.add_hookspecs(Specs)
    return manager


@pytest.fixture
def add(pm):
    """Registers a plugin with one implementation: `add(hook, name, function, **options)`."""

    def add(hook, name, function, **options):
        marked = hookimpl(function, **options)
        plugin = type(name, (), {hook: staticmethod(marked)})()
        pm.register(plugin, name)
        return plugin

    return add
