"""pluggy's interface, by crow-hooks."""

from crow_hooks import HookCaller as HookCaller
from crow_hooks import HookCallError as HookCallError
from crow_hooks import HookImpl as HookImpl
from crow_hooks import HookimplMarker as HookimplMarker
from crow_hooks import HookRelay as HookRelay
from crow_hooks import HookspecMarker as HookspecMarker
from crow_hooks import PluggyTeardownRaisedWarning as PluggyTeardownRaisedWarning
from crow_hooks import PluggyWarning as PluggyWarning
from crow_hooks import PluginManager as PluginManager
from crow_hooks import PluginValidationError as PluginValidationError
from crow_hooks import Result as Result

from . import _execution as _execution


TYPE_CHECKING = False
if TYPE_CHECKING:
    from crow_hooks import HookimplOpts as HookimplOpts
    from crow_hooks import HookspecOpts as HookspecOpts

    __version__: str

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

        return version("pluggy")
    if name in ("HookimplOpts", "HookspecOpts"):
        import crow_hooks

        return getattr(crow_hooks, name)
    raise AttributeError(f"module {__name__} has no attribute {name!r}")
