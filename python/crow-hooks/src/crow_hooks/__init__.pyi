from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from importlib.metadata import Distribution
from types import TracebackType
from typing import Any, Generic, Protocol, TypedDict, final, overload

from typing_extensions import TypeVar

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

__version__: str

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., object])
_Hooks = TypeVar("_Hooks", default=HookRelay)
_AsyncHooks = TypeVar("_AsyncHooks", default=_AsyncHookRelay)
_Names = str | Iterable[str]

class HookCallError(Exception): ...

class PluginValidationError(Exception):
    plugin: object
    def __init__(self, plugin: object, message: str) -> None: ...

class PluggyWarning(UserWarning): ...

@final
class PluggyTeardownRaisedWarning(PluggyWarning): ...

class HookspecOpts(TypedDict):
    firstresult: bool
    historic: bool
    warn_on_impl: Warning | None
    warn_on_impl_args: Mapping[str, Warning] | None

class HookimplOpts(TypedDict):
    wrapper: bool
    hookwrapper: bool
    optionalhook: bool
    tryfirst: bool
    trylast: bool
    specname: str | None

@final
class HookspecMarker:
    project_name: str
    def __init__(self, project_name: str) -> None: ...
    @overload
    def __call__(
        self,
        function: _F,
        firstresult: bool = False,
        historic: bool = False,
        warn_on_impl: Warning | None = None,
        warn_on_impl_args: Mapping[str, Warning] | None = None,
        *,
        isolate: bool = False,
    ) -> _F: ...
    @overload
    def __call__(
        self,
        function: None = ...,
        firstresult: bool = ...,
        historic: bool = ...,
        warn_on_impl: Warning | None = ...,
        warn_on_impl_args: Mapping[str, Warning] | None = ...,
        *,
        isolate: bool = ...,
    ) -> Callable[[_F], _F]: ...

@final
class HookimplMarker:
    project_name: str
    def __init__(self, project_name: str) -> None: ...
    @overload
    def __call__(
        self,
        function: _F,
        hookwrapper: bool = ...,
        optionalhook: bool = ...,
        tryfirst: bool = ...,
        trylast: bool = ...,
        specname: str | None = ...,
        wrapper: bool = ...,
        *,
        before: _Names | None = ...,
        after: _Names | None = ...,
    ) -> _F: ...
    @overload
    def __call__(
        self,
        function: None = ...,
        hookwrapper: bool = ...,
        optionalhook: bool = ...,
        tryfirst: bool = ...,
        trylast: bool = ...,
        specname: str | None = ...,
        wrapper: bool = ...,
        *,
        before: _Names | None = ...,
        after: _Names | None = ...,
    ) -> Callable[[_F], _F]: ...

@final
class Result(Generic[_T]):
    def __new__(cls, result: _T | None, exception: BaseException | None) -> Result[_T]: ...
    @property
    def exception(self) -> BaseException | None: ...
    @property
    def excinfo(self) -> tuple[type[BaseException], BaseException, TracebackType | None] | None: ...
    @classmethod
    def from_call(cls, func: Callable[[], _T]) -> Result[_T]: ...
    def get_result(self) -> _T: ...
    def force_result(self, result: _T) -> None: ...
    def force_exception(self, exception: BaseException) -> None: ...

class HookSpec:
    namespace: object
    name: str
    function: Callable[..., object]
    argnames: tuple[str, ...]
    kwargnames: tuple[str, ...]
    kwargdefaults: dict[str, object]
    opts: HookspecOpts
    warn_on_impl: Warning | None
    warn_on_impl_args: Mapping[str, Warning] | None

@final
class HookImpl:
    function: Callable[..., object]
    argnames: tuple[str, ...]
    kwargnames: tuple[str, ...]
    plugin: object
    plugin_name: str
    opts: HookimplOpts
    wrapper: bool
    hookwrapper: bool
    optionalhook: bool
    tryfirst: bool
    trylast: bool
    def __new__(
        cls,
        plugin: object,
        plugin_name: str,
        function: Callable[..., object],
        hook_impl_opts: HookimplOpts,
    ) -> HookImpl: ...

class HookCaller:
    name: str
    spec: HookSpec | None
    def __call__(self, **kwargs: object) -> Any: ...
    def has_spec(self) -> bool: ...
    def is_historic(self) -> bool: ...
    def get_hookimpls(self) -> list[HookImpl]: ...
    def call_extra(self, methods: Sequence[Callable[..., object]], kwargs: Mapping[str, object]) -> Any: ...
    def call_historic(
        self,
        result_callback: Callable[[Any], None] | None = None,
        kwargs: Mapping[str, object] | None = None,
    ) -> None: ...

@final
class HookRelay:
    def __getattr__(self, name: str) -> HookCaller: ...

class _AsyncHookCaller(Protocol):
    def __call__(self, **kwargs: object) -> Awaitable[Any]: ...
    def named(self, **kwargs: object) -> Awaitable[Any]: ...

class _AsyncHookRelay(Protocol):
    def __getattr__(self, name: str) -> _AsyncHookCaller: ...

class _TagTracer:
    indent: int
    def get(self, name: str) -> _TagTracerSub: ...
    def setwriter(self, writer: Callable[[str], object] | None) -> None: ...
    def setprocessor(
        self,
        tags: str | tuple[str, ...],
        processor: Callable[[tuple[str, ...], tuple[Any, ...]], object],
    ) -> None: ...

class _TagTracerSub:
    root: _TagTracer
    tags: tuple[str, ...]
    def __call__(self, *args: object) -> None: ...
    def get(self, name: str) -> _TagTracerSub: ...

class _DistFacade:
    @property
    def project_name(self) -> str: ...
    def __getattr__(self, name: str) -> Any: ...

class _Loaded:
    loaded: list[str]
    lazy: list[str]
    failed: dict[str, BaseException]

class PluginManager(Generic[_Hooks, _AsyncHooks]):
    project_name: str
    hook: _Hooks
    ahook: _AsyncHooks
    trace: _TagTracerSub
    def __init__(self, project_name: str) -> None: ...
    def register(self, plugin: object, name: str | None = None) -> str | None: ...
    def parse_hookimpl_opts(self, plugin: object, name: str) -> HookimplOpts | None: ...
    def unregister(self, plugin: object | None = None, name: str | None = None) -> Any | None: ...
    def set_blocked(self, name: str) -> None: ...
    def is_blocked(self, name: str) -> bool: ...
    def unblock(self, name: str) -> bool: ...
    def add_hookspecs(self, module_or_class: object) -> None: ...
    def parse_hookspec_opts(self, module_or_class: object, name: str) -> HookspecOpts | None: ...
    def check_pending(self) -> None: ...
    def get_plugins(self) -> set[Any]: ...
    def is_registered(self, plugin: object) -> bool: ...
    def get_canonical_name(self, plugin: object) -> str: ...
    def get_plugin(self, name: str) -> Any | None: ...
    def has_plugin(self, name: str) -> bool: ...
    def get_name(self, plugin: object) -> str | None: ...
    def list_name_plugin(self) -> list[tuple[str, Any]]: ...
    def get_hookcallers(self, plugin: object) -> list[HookCaller] | None: ...
    def subset_hook_caller(self, name: str, remove_plugins: Iterable[object]) -> HookCaller: ...
    def on_error(self, hook_name: str | None, plugin_name: str, error: BaseException) -> object: ...
    def call_named(self, hook_name: str, /, **kwargs: object) -> Any: ...
    def load_setuptools_entrypoints(self, group: str, name: str | None = None) -> int: ...
    def load_entrypoints(self, group: str, name: str | None = None, *, lazy: bool = False) -> _Loaded: ...
    def load_lazy(self) -> None: ...
    def list_plugin_distinfo(self) -> list[tuple[Any, _DistFacade]]: ...
    def list_plugin_distributions(self) -> list[tuple[Any, Distribution]]: ...
    def add_hookcall_monitoring(
        self,
        before: Callable[[str, Sequence[HookImpl], Mapping[str, Any]], None],
        after: Callable[[Result[Any], str, Sequence[HookImpl], Mapping[str, Any]], None],
    ) -> Callable[[], None]: ...
    def enable_tracing(self) -> Callable[[], None]: ...
