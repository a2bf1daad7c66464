"""Awaited calls: sync and async implementations in one chain, in the order of the hook.

The rules are those of a call by ``pm.hook``; what an implementation gives is judged after awaiting it.
"""

from __future__ import annotations

from types import AsyncGeneratorType
from types import CoroutineType

from . import _native
from ._callers import _raise_wrapfail
from ._callers import run_old_style_hookwrapper
from ._errors import HookCallError


class AsyncHookRelay:
    """``await pm.ahook.name(arg=...)``."""

    def __init__(self, manager):
        self._manager = manager

    def __getattr__(self, name):
        self._manager._crow_load_lazy(name)
        return AsyncHookCaller(self._manager, getattr(self._manager.hook, name))


class AsyncHookCaller:
    """A hook, to be awaited."""

    __slots__ = ("_hook", "_manager")

    def __init__(self, manager, hook):
        self._manager = manager
        self._hook = hook

    def __repr__(self):
        return f"<AsyncHookCaller {self._hook.name!r}>"

    def __call__(self, **kwargs):
        hook, kwargs = self._hook, self._checked(kwargs)
        return _monitored(self._manager, hook.name, hook.get_hookimpls(), kwargs, _firstresult(hook))

    def named(self, **kwargs):
        """The same, as pairs of plugin name and result; see ``PluginManager.call_named``."""
        hook, kwargs, log = self._hook, self._checked(kwargs), []
        firstresult = _firstresult(hook)
        call = _monitored(self._manager, hook.name, hook.get_hookimpls(), kwargs, firstresult, log)
        return _named(call, log, firstresult)

    def _checked(self, kwargs):
        hook = self._hook
        assert not hook.is_historic(), "Cannot directly call a historic hook - use call_historic instead."
        kwargs = hook._apply_defaults(kwargs)
        hook._verify_all_args_are_provided(kwargs, 3)
        return kwargs


async def _named(call, log, firstresult):
    return names_of(await call, log, firstresult)


def names_of(result, log, firstresult):
    """Pairs of name and result. A result that a wrapper made is nobody's: its name is ``None``."""
    left = list(log)

    def pair(value):
        for at, (name, given) in enumerate(left):
            if given is value:
                del left[at]
                return name, value
        return None, value

    if firstresult or not isinstance(result, list):
        return pair(result)
    return [pair(value) for value in result]


def _firstresult(hook):
    return bool(hook.spec is not None and hook.spec.opts.get("firstresult", False))


async def _monitored(manager, name, impls, kwargs, firstresult, log=None):
    """A call with the monitors that ``add_hookcall_monitoring`` and ``enable_tracing`` put there."""
    monitors, inner = [], manager._inner_hookexec
    while isinstance(inner, _native.Monitor):
        monitors.append(inner)
        inner = inner.old
    if not monitors:
        return await multicall(name, impls, kwargs, firstresult, log)
    for monitor in monitors:
        monitor.before(name, impls, kwargs)
    try:
        outcome = _native.Result(await multicall(name, impls, kwargs, firstresult, log), None)
    except BaseException as error:
        outcome = _native.Result(None, error)
    for monitor in reversed(monitors):
        monitor.after(outcome, name, impls, kwargs)
    return outcome.get_result()


async def multicall(name, impls, kwargs, firstresult, log=None):
    """The call loop, awaiting."""
    results, waiting, error = [], [], None
    for impl in reversed(impls):
        try:
            if impl.hookwrapper or impl.wrapper:
                waiting.append((impl, await _started(impl, name, kwargs)))
                continue
            result = _call(impl, kwargs)
            if type(result) is CoroutineType or hasattr(type(result), "__await__"):
                result = await result
        except BaseException as raised:
            if _isolated(name, impl, raised):
                continue
            error = raised
            break
        if result is not None:
            results.append(result)
            if log is not None:
                log.append((impl.plugin_name, result))
            if firstresult:
                break
    result = (results[0] if results else None) if firstresult else results

    while waiting:
        impl, generator = waiting.pop()
        try:
            if type(generator) is AsyncGeneratorType:
                result = await _resumed_async(generator, result, error)
            else:
                result = _resumed(generator, result, error)
            error = None
        except BaseException as raised:
            if raised is error or not _isolated(name, impl, raised):
                error = raised
    if error is not None:
        raise error
    return result


def _arguments(impl, kwargs):
    try:
        args = [kwargs[argname] for argname in impl.argnames]
    except KeyError as missing:
        raise HookCallError(f"hook call must provide argument {missing.args[0]!r}") from missing
    return args, {each: kwargs[each] for each in impl.kwargnames if each in kwargs}


def _call(impl, kwargs):
    args, optional = _arguments(impl, kwargs)
    return impl.function(*args, **optional)


def _isolated(name, impl, error):
    """Whether a hook isolates its implementations, and this error was reported instead of raised."""
    sink = getattr(impl, "_sink", None)
    if sink is None or not isinstance(error, Exception):
        return False
    sink(name, impl, error)
    return True


async def _started(impl, name, kwargs):
    if impl.hookwrapper:
        generator = run_old_style_hookwrapper(impl, name, *_arguments(impl, kwargs))
    else:
        generator = _call(impl, kwargs)
    if type(generator) is AsyncGeneratorType:
        try:
            await generator.__anext__()
        except StopAsyncIteration:
            raise _misbehaved(generator, "did not yield") from None
    else:
        try:
            next(generator)
        except StopIteration:
            _raise_wrapfail(generator, "did not yield")
    return generator


def _resumed(generator, result, error):
    try:
        if error is None:
            generator.send(result)
        else:
            try:
                generator.throw(error)
            except RuntimeError as raised:
                # A `StopIteration` cannot leave a generator as it is.
                if isinstance(error, StopIteration) and raised.__cause__ is error:
                    generator.close()
                    raise error from error.__cause__
                raise
        generator.close()
    except StopIteration as stop:
        if stop is error:
            raise
        return stop.value
    _raise_wrapfail(generator, "has second yield")


async def _resumed_async(generator, result, error):
    """An async generator cannot return a value. Its second ``yield`` gives the result; without one, the result stays."""
    try:
        new = await (generator.asend(result) if error is None else generator.athrow(error))
    except StopAsyncIteration:
        return result if error is None else None
    try:
        await generator.__anext__()
    except StopAsyncIteration:
        return new
    await generator.aclose()
    raise _misbehaved(generator, "has third yield")


def _misbehaved(generator, what):
    code = generator.ag_code
    return RuntimeError(f"wrap_controller at {code.co_name!r} {code.co_filename}:{code.co_firstlineno} {what}")
