"""The call loop and its helpers."""

from collections.abc import Generator

from crow_hooks._callers import _multicall
from crow_hooks._callers import _raise_wrapfail
from crow_hooks._callers import _warn_teardown_exception
from crow_hooks._callers import run_old_style_hookwrapper


Teardown = Generator[None, object, object]

__all__ = ["Teardown", "_multicall", "_raise_wrapfail", "_warn_teardown_exception", "run_old_style_hookwrapper"]
