"""The marks that say what is a hook and what implements one."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])

PROJECT: str

@overload
def hookimpl(function: F) -> F: ...
@overload
def hookimpl(
    *,
    tryfirst: bool = ...,
    trylast: bool = ...,
    wrapper: bool = ...,
    hookwrapper: bool = ...,
    optionalhook: bool = ...,
    specname: str | None = ...,
    before: str | Sequence[str] = ...,
    after: str | Sequence[str] = ...,
    budget: float | None = ...,
) -> Callable[[F], F]: ...
@overload
def hookspec(function: F) -> F: ...
@overload
def hookspec(*, firstresult: bool = ..., isolate: bool = ...) -> Callable[[F], F]: ...
