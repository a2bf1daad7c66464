"""The parameters of what is no plain function: classes, callable objects, wrapped functions."""

from __future__ import annotations

import inspect
import warnings


#: Hook specifications without `self` that are corrected upstream and only await a release.
_KNOWN_WITHOUT_SELF = frozenset(
    {"TimeoutHooks.pytest_timeout_set_timer", "TimeoutHooks.pytest_timeout_cancel_timer"}
)


def varnames(function, legacy_noself=False):
    """Names of positional parameters without and with a default; the bound one is left out."""
    bound = False
    if inspect.isclass(function):
        function = function.__init__
        bound = True
    elif not inspect.isroutine(function):
        try:
            function = getattr(function, "__call__", function)  # noqa: B004
        except Exception:
            return (), ()
    bound = bound or inspect.ismethod(function)
    function = inspect.unwrap(function)
    if inspect.ismethod(function):
        bound = True
        function = function.__func__
    try:
        code = function.__code__
        defaults = function.__defaults__
        qualname = function.__qualname__
    except AttributeError:
        return (), ()

    names = code.co_varnames[: code.co_argcount]
    required = len(names) - len(defaults or ())
    args, kwargs = names[:required], names[required:]
    tail = qualname.rsplit("<locals>.", maxsplit=1)[-1]
    in_class = "." in tail
    if args and (bound or (in_class and args[0] in ("self", "cls"))):
        args = args[1:]
    elif args and in_class and legacy_noself and tail not in _KNOWN_WITHOUT_SELF:
        warnings.warn(
            f"{qualname} is a method but its first parameter {args[0]!r} is not 'self'."
            " Add 'self' as the first parameter or use @staticmethod."
            " This will become an error in a future version of pluggy.",
            DeprecationWarning,
            stacklevel=2,
        )
    return args, kwargs


def formatdef(function):
    """A function as it is declared: ``name(parameters)``."""
    return f"{function.__name__}{inspect.signature(function)}"
