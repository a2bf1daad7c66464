"""The call loop and its helpers."""

from collections.abc import Generator

from crow_hooks import _native
from crow_hooks._callers import _multicall
from crow_hooks._callers import _raise_wrapfail
from crow_hooks._callers import _warn_teardown_exception
from crow_hooks._callers import run_old_style_hookwrapper


class _Impl:
    function = _native.raise_again


def _frame(error, hook_impl=_Impl):
    """A frame in tracebacks where pluggy has one: pytest and its tests look for it, to show it or to hide it."""
    __tracebackhide__ = True
    args = (error,)
    res = hook_impl.function(*args)
    return res


_native.set_frame(_frame)

Teardown = Generator[None, object, object]

__all__ = ["Teardown", "_multicall", "_raise_wrapfail", "_warn_teardown_exception", "run_old_style_hookwrapper"]
