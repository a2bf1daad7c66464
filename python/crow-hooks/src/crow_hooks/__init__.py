"""Plugins by hooks: pluggy's interface and rules, natively fast, and what pluggy's users have asked for.

Everything that pluggy 1.7.0 has is here under the same name and does the same. Beyond it:

* ``await pm.ahook.name(...)``: async and sync implementations in one ordered chain, async wrappers.
* ``hookimpl(before="plugin", after=["others"])``: order by name.
* ``pm.call_named("name", ...)``: results with the names of the plugins that gave them.
* ``hookspec(isolate=True)``: a plugin that fails does not stop the others; ``pm.on_error`` is told.
* ``pm.load_entrypoints(group, lazy=True)``: a broken plugin is reported, and an unused one is not imported.
* ``PluginManager[Hooks, AsyncHooks]`` and ``crow-hooks stubs``: a type checker knows every call.
"""

from ._errors import HookCallError
from ._errors import PluggyTeardownRaisedWarning
from ._errors import PluggyWarning
from ._errors import PluginValidationError
from ._manager import PluginManager
from ._markers import HookimplMarker
from ._markers import HookspecMarker
from ._markers import HookRelay
from ._native import HookCaller
from ._native import HookImpl
from ._native import Result


__all__ = [
    "HookCallError",
    "HookCaller",
    "HookImpl",
    "HookRelay",
    "HookimplMarker",
    "HookimplOpts",
    "HookspecMarker",
    "HookspecOpts",
    "PluggyTeardownRaisedWarning",
    "PluggyWarning",
    "PluginManager",
    "PluginValidationError",
    "Result",
    "__version__",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("crow-hooks")
    if name in ("HookimplOpts", "HookspecOpts"):
        from . import _opts

        return getattr(_opts, name)
    raise AttributeError(f"module {__name__} has no attribute {name!r}")
