"""Plugins: how they are imported, and what of them implements a hook."""

from __future__ import annotations

import importlib
import inspect
import types
from typing import Any

from crow_acp import _contracts, _crow, _tools
from crow_acp._markers import PROJECT

_SPECS: dict[str, Any] = _crow.specs()


def load(value: str) -> Any:
    """What an entry point names (`package.module:Class`). A class is made an instance of."""
    module, _, attributes = value.partition(":")
    try:
        plugin: Any = importlib.import_module(module.strip())
        for attribute in filter(None, attributes.strip().split(".")):
            plugin = getattr(plugin, attribute)
        if isinstance(plugin, type):
            plugin = plugin()
    except (SystemExit, KeyboardInterrupt) as error:
        raise ImportError(f"it ended with {error!r} while it was loaded") from error
    return plugin


def canonical_name(plugin: Any) -> str:
    """What a plugin is called if nobody says: a module's or class's name, an instance's class's."""
    name = getattr(plugin, "__name__", None)
    return name if isinstance(name, str) and name else type(plugin).__name__


def _invalid(plugin: Any, text: str) -> Exception:
    error = _crow.PluginValidationError(text)
    error.plugin = plugin
    return error


def _functions(plugin: Any) -> Any:
    """The marked functions: attributes that are found without running anything, as in pluggy 1.7."""
    for name in dir(plugin):
        try:
            raw = inspect.getattr_static(plugin, name)
        except AttributeError:
            continue
        if not isinstance(raw, (types.FunctionType, types.MethodType, classmethod, staticmethod)):
            continue
        options = getattr(raw, PROJECT + "_impl", None)
        if options is None:
            options = getattr(getattr(raw, "__func__", None), PROJECT + "_impl", None)
        if isinstance(options, dict):
            yield name, getattr(plugin, name), options


def _arguments(function: Any) -> list[str]:
    """The arguments that a hook has to have: those without a default, in order."""
    code = inspect.unwrap(getattr(function, "__func__", function)).__code__
    names = list(code.co_varnames[: code.co_argcount])
    if inspect.ismethod(function):
        names = names[1:]
    defaults = inspect.unwrap(getattr(function, "__func__", function)).__defaults__ or ()
    return names[: len(names) - len(defaults)]


def describe(plugin: Any, name: str | None) -> dict[str, Any]:
    """What the native part needs to know of a plugin."""
    name = name or canonical_name(plugin)
    impls = []
    for method, function, options in _functions(plugin):
        hook = options.get("specname") or method
        spec = _SPECS.get(hook)
        if spec is None and _contracts.knows(hook):
            _contracts.implement(name, hook, function, options)
            continue
        impls.append(_impl(plugin, name, hook, spec, method, function, options))
    kind = plugin if isinstance(plugin, (type, types.ModuleType)) else type(plugin)
    module = getattr(kind, "__module__", None)
    origin = f"{module}.{kind.__qualname__}" if module else kind.__name__
    version = getattr(plugin, "__version__", None)
    return {
        "name": name,
        "origin": origin,
        "version": version if isinstance(version, str) else None,
        "impls": impls,
    }


def _impl(
    plugin: Any, name: str, hook: str, spec: Any, method: str, function: Any, options: dict[str, Any]
) -> dict[str, Any]:
    where = f"plugin `{name}`, hook `{hook}`: "
    wrapper, old = bool(options.get("wrapper")), bool(options.get("hookwrapper"))
    if wrapper and old:
        raise _invalid(plugin, where + "wrapper=True and hookwrapper=True exclude each other")
    yields = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    if (wrapper or old) and not yields:
        raise _invalid(plugin, where + "it is declared as a wrapper, and has no `yield`")
    if yields and not (wrapper or old):
        raise _invalid(plugin, where + "it has a `yield`: declare it with @hookimpl(wrapper=True)")
    args = _arguments(function)
    if spec is not None:
        known = [arg for arg, _ in spec["args"]]
        unknown = [arg for arg in args if arg not in known]
        if unknown:
            text = f"there is no argument {', '.join(f'`{arg}`' for arg in unknown)}; it has {', '.join(known)}"
            raise _invalid(plugin, where + text)
        if spec["sync"] and inspect.iscoroutinefunction(function):
            raise _invalid(plugin, where + "this hook is a plain function, its impls are plain `def`s")
    if old:
        function = _old_style(function)
    elif hook in _tools.OFFERS:
        function = _tools.offering(hook, function)
    return {
        "hook": hook,
        "method": method,
        "function": function,
        "args": args,
        "is_async": inspect.iscoroutinefunction(function),
        "sync_hook": spec is not None and bool(spec["sync"]),
        "wrapper": wrapper or old,
        "tryfirst": bool(options.get("tryfirst")),
        "trylast": bool(options.get("trylast")),
        "optionalhook": bool(options.get("optionalhook")),
        "before": list(options.get("before") or ()),
        "after": list(options.get("after") or ()),
        "budget": options.get("budget"),
    }


def _old_style(function: Any) -> Any:
    def wrapper(*args: Any) -> Any:
        return function(*args)

    wrapper.__qualname__ = getattr(function, "__qualname__", "wrapper")
    wrapper._crow_old_style = True  # type: ignore[attr-defined]
    return wrapper
