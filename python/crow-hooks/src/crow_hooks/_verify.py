"""Why an implementation does not fit its hook. Asked only when the quick answer was not a plain yes."""

from __future__ import annotations

import inspect
import warnings

from ._errors import PluginValidationError
from ._signature import formatdef


def verify(hook, impl):
    """Raise ``PluginValidationError`` or warn, as the specification of ``hook`` demands."""
    wraps = impl.wrapper or impl.hookwrapper
    if hook.is_historic() and wraps:
        raise PluginValidationError(
            impl.plugin,
            f"Plugin {impl.plugin_name!r}\nhook {hook.name!r}\n"
            "historic incompatible with yield/wrapper/hookwrapper",
        )
    spec = hook.spec
    assert spec is not None
    if spec.warn_on_impl:
        _warn_at(impl.function, spec.warn_on_impl)

    unknown = set(impl.argnames) - (set(spec.argnames) | set(spec.kwargnames))
    if unknown:
        raise _refused(
            hook, impl, f"Argument(s) {unknown} are declared in the hookimpl but can not be found in the hookspec"
        )
    if spec.warn_on_impl_args:
        for name in impl.argnames + impl.kwargnames:
            warning = spec.warn_on_impl_args.get(name)
            if warning is not None:
                _warn_at(impl.function, warning)

    if wraps and not (inspect.isgeneratorfunction(impl.function) or _is_async_wrapper(impl)):
        raise _refused(
            hook, impl, "Declared as wrapper=True or hookwrapper=True but function is not a generator function"
        )
    if impl.wrapper and impl.hookwrapper:
        raise _refused(hook, impl, "The wrapper=True and hookwrapper=True options are mutually exclusive")


def _is_async_wrapper(impl):
    """An async generator wraps calls by ``ahook``; a call by ``hook`` says that it cannot."""
    return impl.wrapper and inspect.isasyncgenfunction(impl.function)


def _refused(hook, impl, why):
    definition = formatdef(impl.function)
    return PluginValidationError(
        impl.plugin, f"Plugin {impl.plugin_name!r} for hook {hook.name!r}\nhookimpl definition: {definition}\n{why}"
    )


def _warn_at(function, warning):
    """Warn at the place where a function is defined."""
    code = function.__code__
    warnings.warn_explicit(warning, type(warning), lineno=code.co_firstlineno, filename=code.co_filename)
