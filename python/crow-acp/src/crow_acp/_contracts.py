"""Hooks of plugins' own: declared with `@hookspec`, called as `await agent.hook.NAME(..)` like the agent's."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

from crow_acp import _crow
from crow_acp._markers import PROJECT

_specs: dict[str, dict[str, Any]] = {}
_impls: dict[str, list[_Impl]] = {}


class _Impl:
    __slots__ = ("args", "function", "plugin", "rank", "wrapper")

    def __init__(self, plugin: str, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self.plugin = plugin
        self.function = function
        self.args = list(inspect.signature(function).parameters)
        self.wrapper = bool(options.get("wrapper"))
        self.rank = 2 if options.get("trylast") else 0 if options.get("tryfirst") else 1


def knows(hook: str) -> bool:
    """Whether some plugin declared that hook."""
    return hook in _specs


def add(namespace: Any) -> None:
    """Adds the hooks of a class, an instance or a module."""
    found = False
    for name in dir(namespace):
        function = getattr(namespace, name, None)
        options = getattr(function, PROJECT + "_spec", None)
        if not isinstance(options, dict):
            continue
        found = True
        if name in _specs or name in _crow.specs():
            raise ValueError(f"there is a hook `{name}` already")
        parameters = list(inspect.signature(function).parameters)  # type: ignore[arg-type]
        _specs[name] = {"args": [arg for arg in parameters if arg not in ("self", "cls")], **options}
        _impls.setdefault(name, [])
    if not found:
        raise ValueError(f"did not find any {PROJECT!r} hooks in {namespace!r}")


def implement(plugin: str, hook: str, function: Callable[..., Any], options: dict[str, Any]) -> None:
    """Adds a plugin's impl. Among equals the last is called first."""
    imp = _Impl(plugin, function, options)
    unknown = [arg for arg in imp.args if arg not in _specs[hook]["args"]]
    if unknown:
        raise _crow.PluginValidationError(f"plugin `{plugin}`, hook `{hook}`: there is no argument {unknown}")
    impls = _impls[hook]
    impls.insert(0, imp)
    impls.sort(key=lambda imp: imp.rank)


def forget(plugin: str) -> None:
    """Takes a plugin's impls out."""
    for hook in _impls:
        _impls[hook] = [imp for imp in _impls[hook] if imp.plugin != plugin]


def caller(hook: str) -> Callable[..., Any] | None:
    """What calls that hook; `None` if there is no such hook."""
    if hook not in _specs:
        return None

    async def call(**kwargs: Any) -> Any:
        return await _call(hook, kwargs)

    call.__name__ = hook
    return call


async def _call(hook: str, kwargs: dict[str, Any]) -> Any:
    spec = _specs[hook]
    wrappers = [imp for imp in _impls[hook] if imp.wrapper]
    impls = [imp for imp in _impls[hook] if not imp.wrapper]

    async def inner(at: int) -> Any:
        if at == len(wrappers):
            return await _run(spec, impls, kwargs)
        generator = _apply(wrappers[at], kwargs)
        result: Any = None
        error: BaseException | None = None
        if hasattr(generator, "__anext__"):
            await generator.__anext__()
            try:
                result = await inner(at + 1)
            except BaseException as raised:  # noqa: BLE001 - it is the wrapper's to see
                error = raised
            try:
                return await (generator.asend(result) if error is None else generator.athrow(error))
            except StopAsyncIteration:
                return result
        next(generator)
        try:
            result = await inner(at + 1)
        except BaseException as raised:  # noqa: BLE001 - as above
            error = raised
        try:
            generator.send(result) if error is None else generator.throw(error)
        except StopIteration as end:
            return end.value
        raise RuntimeError(f"a wrapper of `{hook}` has a second yield")

    return await inner(0)


def _apply(imp: _Impl, kwargs: dict[str, Any]) -> Any:
    return imp.function(*[kwargs[arg] for arg in imp.args])


async def _run(spec: dict[str, Any], impls: list[_Impl], kwargs: dict[str, Any]) -> Any:
    results: list[Any] = []
    for imp in impls:
        try:
            value = _apply(imp, kwargs)
            if inspect.isawaitable(value):
                value = await value
        except Exception as error:
            if not spec["isolate"]:
                raise
            print(f"plugin `{imp.plugin}` failed: {error!r}", file=sys.stderr)
            continue
        if value is not None:
            if spec["firstresult"]:
                return value
            results.append(value)
    return None if spec["firstresult"] else results
