"""The call loop and its helpers, under the older path."""

from ._execution import Teardown
from ._execution import _multicall
from ._execution import _raise_wrapfail
from ._execution import _warn_teardown_exception
from ._execution import run_old_style_hookwrapper


__all__ = ["Teardown", "_multicall", "_raise_wrapfail", "_warn_teardown_exception", "run_old_style_hookwrapper"]
