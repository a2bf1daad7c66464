"""The call loop under the names that pluggy's module has, with the helpers that others import."""

from __future__ import annotations

from ._errors import PluggyTeardownRaisedWarning
from ._native import Result
from ._native import _multicall


__all__ = ["_multicall", "_raise_wrapfail", "_warn_teardown_exception", "run_old_style_hookwrapper"]


def run_old_style_hookwrapper(hook_impl, hook_name, args, kwargs=None):
    """An old-style wrapper as a new-style one."""
    generator = hook_impl.function(*args, **(kwargs or {}))
    try:
        next(generator)
    except StopIteration:
        _raise_wrapfail(generator, "did not yield")
    try:
        outcome = Result((yield), None)
    except BaseException as error:
        outcome = Result(None, error)
    try:
        generator.send(outcome)
    except StopIteration:
        pass
    except BaseException as error:
        _warn_teardown_exception(hook_name, hook_impl, error)
        raise
    else:
        _raise_wrapfail(generator, "has second yield")
    finally:
        generator.close()
    return outcome.get_result()


def _raise_wrapfail(wrap_controller, msg):
    code = wrap_controller.gi_code
    raise RuntimeError(
        f"wrap_controller at {code.co_name!r} {code.co_filename}:{code.co_firstlineno} {msg}"
    )


def _warn_teardown_exception(hook_name, hook_impl, e):
    import warnings

    text = (
        "A plugin raised an exception during an old-style hookwrapper teardown.\n"
        f"Plugin: {hook_impl.plugin_name}, Hook: {hook_name}\n{type(e).__name__}: {e}\n"
        "For more information see https://pluggy.readthedocs.io/en/stable/api_reference.html#pluggy.PluggyTeardownRaisedWarning"
    )
    warnings.warn(PluggyTeardownRaisedWarning(text), stacklevel=6)
