"""Where plugin code runs: the one thread of an asyncio event loop.

The native part posts jobs to the loop and is told of their end by a callback. Importing this module imports asyncio, so
nothing does before there is a plugin.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import sys
import threading
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from crow_acp import _crow

#: What a function of a plugin gives back to the native part: its result, or what it raised.
Done = Callable[[Any, "BaseException | None"], None]

_session: contextvars.ContextVar[str | None] = contextvars.ContextVar("crow_acp_session", default=None)
_chain: contextvars.ContextVar[object | None] = contextvars.ContextVar("crow_acp_chain", default=None)

_loop: asyncio.AbstractEventLoop | None = None
_tasks: set[asyncio.Task[None]] = set()


def session_id() -> str | None:
    """The session of the hook call that this code runs in."""
    return _session.get()


def current_chain() -> object | None:
    """The hook calls that this code stands in."""
    return _chain.get()


def attach(loop: asyncio.AbstractEventLoop) -> None:
    """Lets `loop` run the plugins' code, on the thread that calls this."""
    global _loop
    _loop = loop
    loop.add_reader(_crow.attach(), _crow.drain)


def detach() -> None:
    """Ends what `attach` began."""
    global _loop
    loop, _loop = _loop, None
    if loop is not None:
        loop.remove_reader(_crow.attach())
    _crow.detach()


def run_loop() -> None:
    """Runs a loop of our own until `stop`. What a plugin raises, `sys.exit` included, does not end it."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    attach(loop)
    try:
        while True:
            try:
                loop.run_forever()
                break
            except (SystemExit, KeyboardInterrupt) as error:
                print(f"a task of a plugin ended with {error!r}", file=sys.stderr)
    finally:
        with contextlib.suppress(Exception, asyncio.CancelledError):
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.wait_for(_settle(), 0.2))
        detach()
        asyncio.set_event_loop(None)
        loop.close()


async def _settle() -> None:
    """Lets cancelled tasks end."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


def stop() -> None:
    """Ends `run_loop`."""
    if _loop is not None:
        _loop.stop()


def new_future() -> asyncio.Future[Any]:
    """A future of the running loop, for work in Rust."""
    return asyncio.get_running_loop().create_future()


def resolve(future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    """Ends a future, on whichever loop it belongs to."""

    def settle() -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        elif isinstance(error, StopIteration):
            # A future cannot hold it.
            future.set_exception(RuntimeError(f"a plugin raised {error!r}"))
        else:
            future.set_exception(error)

    loop = future.get_loop()
    if loop is _loop and threading.get_ident() == getattr(loop, "_thread_id", None):
        settle()
    else:
        loop.call_soon_threadsafe(settle)


def _context(session: str | None, chain: object) -> contextvars.Context:
    context = contextvars.copy_context()
    context.run(_session.set, session)
    context.run(_chain.set, chain)
    return context


def _task(context: contextvars.Context, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = context.run(asyncio.get_running_loop().create_task, work)
    # The loop itself holds tasks weakly.
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


async def _finish(awaitable: Any, done: Done) -> None:
    try:
        result = await awaitable
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the plugin's, and ends no loop
        done(None, error)
    else:
        done(result, None)


def call(
    function: Callable[..., Any], args: tuple[Any, ...], session: str | None, chain: object, done: Done
) -> asyncio.Task[None] | None:
    """Calls a function of a plugin; what it gives may be awaitable. Returns what can be cancelled, if it waits."""
    context = _context(session, chain)
    try:
        result = context.run(function, *args)
        waits = inspect.isawaitable(result)
    except BaseException as error:  # noqa: BLE001 - as above
        done(None, error)
        return None
    if waits:
        return _task(context, _finish(result, done))
    done(result, None)
    return None


class Result:
    """What an old-style wrapper (`hookwrapper=True`) gets at its `yield`."""

    __slots__ = ("_exception", "_result")

    def __init__(self, result: Any, exception: BaseException | None) -> None:
        self._result = result
        self._exception = exception

    @property
    def exception(self) -> BaseException | None:
        """What was raised."""
        return self._exception

    @property
    def excinfo(self) -> tuple[type[BaseException], BaseException, Any] | None:
        """What was raised, as `sys.exc_info` has it."""
        error = self._exception
        return None if error is None else (type(error), error, error.__traceback__)

    def force_result(self, result: Any) -> None:
        """Replaces the result."""
        self._result, self._exception = result, None

    def force_exception(self, exception: BaseException) -> None:
        """Replaces the result by an exception."""
        self._result, self._exception = None, exception

    def get_result(self) -> Any:
        """The result, or raises what was raised."""
        if self._exception is not None:
            raise self._exception
        return self._result


class Wrapper:
    """A wrapper under way: a generator, plain or asynchronous, on its way to or at its `yield`."""

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], session: str | None, chain: object
    ) -> None:
        self._function = function
        self._args = args
        self._old_style = bool(getattr(function, "_crow_old_style", False))
        self._context = _context(session, chain)
        self._generator: Any = None

    def enter(self, done: Done) -> asyncio.Task[None] | None:
        """Runs it to its `yield`."""
        try:
            self._generator = self._context.run(self._function, *self._args)
            if hasattr(self._generator, "__anext__"):
                return _task(self._context, _finish(self._enter_later(), done))
            self._context.run(self._enter_now)
        except BaseException as error:  # noqa: BLE001 - as above
            done(None, error)
        else:
            done(None, None)
        return None

    def _enter_now(self) -> None:
        try:
            next(self._generator)
        except StopIteration:
            raise RuntimeError(f"{self._name()} did not yield") from None

    async def _enter_later(self) -> None:
        try:
            await self._generator.__anext__()
        except StopAsyncIteration:
            raise RuntimeError(f"{self._name()} did not yield") from None

    def leave(self, result: Any, error: BaseException | None, done: Done) -> asyncio.Task[None] | None:
        """Gives it the inner result, or raises the inner exception at its `yield`, and takes what it makes of that."""
        try:
            if hasattr(self._generator, "__anext__"):
                return _task(self._context, _finish(self._leave_later(result, error), done))
            if self._old_style:
                left = self._context.run(self._leave_old, result, error)
            else:
                left = self._context.run(self._leave_now, result, error)
        except BaseException as raised:  # noqa: BLE001 - as above
            done(None, raised)
        else:
            done(left, None)
        return None

    def _leave_now(self, result: Any, error: BaseException | None) -> Any:
        generator: Generator[Any, Any, Any] = self._generator
        try:
            if error is None:
                generator.send(result)
            else:
                generator.throw(error)
        except StopIteration as end:
            return end.value
        generator.close()
        raise RuntimeError(f"{self._name()} has a second yield")

    def _leave_old(self, result: Any, error: BaseException | None) -> Any:
        outcome = Result(result, error)
        try:
            self._generator.send(outcome)
        except StopIteration:
            return outcome.get_result()
        self._generator.close()
        raise RuntimeError(f"{self._name()} has a second yield")

    async def _leave_later(self, result: Any, error: BaseException | None) -> Any:
        try:
            if error is None:
                replaced = await self._generator.asend(result)
            else:
                replaced = await self._generator.athrow(error)
        except StopAsyncIteration:
            # Without a second `yield` the result stays as it is; an exception that was swallowed leaves none.
            return result if error is None else None
        await self._generator.aclose()
        return replaced

    def close(self) -> None:
        """The call was cancelled: the generator is left where it is."""
        generator, self._generator = self._generator, None
        if generator is None:
            return
        try:
            if hasattr(generator, "aclose"):
                _task(self._context, _finish(generator.aclose(), lambda *_: None))
            else:
                self._context.run(generator.close)
        except BaseException as error:  # noqa: BLE001 - nobody is there to hear of it
            print(f"{self._name()} failed when it was closed: {error!r}", file=sys.stderr)

    def _name(self) -> str:
        code = getattr(self._function, "__code__", None)
        place = f" {code.co_filename}:{code.co_firstlineno}" if code is not None else ""
        return f"wrapper {getattr(self._function, '__qualname__', self._function)!r}{place}"
