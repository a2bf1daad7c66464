"""The marks that say what is a hook and what implements one. They are pluggy's: an attribute on the function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])

#: The project whose hooks these are: the attributes are called `crow-acp_impl` and `crow-acp_spec`.
PROJECT = "crow-acp"


def _names(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


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
def hookimpl(
    function: F | None = None,
    *,
    tryfirst: bool = False,
    trylast: bool = False,
    wrapper: bool = False,
    hookwrapper: bool = False,
    optionalhook: bool = False,
    specname: str | None = None,
    before: str | Sequence[str] = (),
    after: str | Sequence[str] = (),
    budget: float | None = None,
) -> Any:
    """Marks a function as the implementation of the hook of its name.

    `tryfirst` and `trylast` say where it stands, `before` and `after` name plugins, `wrapper` says that it is a generator
    around the others, `specname` names the hook if the function is called something else, `budget` is how many seconds
    it may take.
    """

    def mark(function: F) -> F:
        options = {
            "wrapper": wrapper,
            "hookwrapper": hookwrapper,
            "optionalhook": optionalhook,
            "tryfirst": tryfirst,
            "trylast": trylast,
            "specname": specname,
            "before": _names(before),
            "after": _names(after),
            "budget": budget,
        }
        setattr(function, PROJECT + "_impl", options)
        return function

    return mark if function is None else mark(function)


@overload
def hookspec(function: F) -> F: ...
@overload
def hookspec(*, firstresult: bool = ..., isolate: bool = ...) -> Callable[[F], F]: ...
def hookspec(function: F | None = None, *, firstresult: bool = False, isolate: bool = False) -> Any:
    """Marks a function as a hook of a plugin's own; `agent._pm.add_hookspecs` adds what is marked.

    `firstresult` stops at the first result that is not `None`; `isolate` reports what fails and goes on.
    """

    def mark(function: F) -> F:
        setattr(function, PROJECT + "_spec", {"firstresult": firstresult, "isolate": isolate})
        return function

    return mark if function is None else mark(function)
