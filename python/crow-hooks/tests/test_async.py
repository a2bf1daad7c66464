"""Awaited calls."""

import asyncio

import pytest

from crow_hooks import HookCallError


def run(awaitable):
    async def main():
        return await awaitable

    return asyncio.run(main())


def sync(result):
    return lambda value: result


def later(result):
    async def function(value):
        await asyncio.sleep(0)
        return result

    return function


def test_sync_and_async_in_one_order(pm, add):
    seen = []

    def note(name, wait):
        async def coroutine(value):
            await asyncio.sleep(0)
            seen.append(name)
            return name

        def function(value):
            seen.append(name)
            return name

        return coroutine if wait else function

    add("many", "a", note("a", True))
    add("many", "b", note("b", False), trylast=True)
    add("many", "c", note("c", True), tryfirst=True)
    add("many", "d", note("d", False))
    assert run(pm.ahook.many(value=1)) == ["c", "d", "a", "b"] == seen


def test_results_are_judged_after_awaiting(pm, add):
    add("first", "never", sync("never"))
    add("first", "second", sync("second"))
    add("first", "nothing", later(None))
    assert run(pm.ahook.first(value=1)) == "second"
    add("many", "none", later(None))
    assert run(pm.ahook.many(value=1)) == []


def test_a_plain_generator_wraps_async_impls(pm, add):
    add("many", "inner", later(1))

    def wrapper(value):
        result = yield
        return [each + 1 for each in result]

    add("many", "wrapper", wrapper, wrapper=True)
    assert run(pm.ahook.many(value=1)) == [2]


def test_an_old_style_wrapper_wraps_async_impls(pm, add):
    add("many", "inner", later(1))

    def wrapper(value):
        outcome = yield
        outcome.force_result(outcome.get_result() + ["old"])

    add("many", "wrapper", wrapper, hookwrapper=True)
    assert run(pm.ahook.many(value=1)) == [1, "old"]


def test_an_async_generator_wraps(pm, add):
    add("many", "inner", later(1))
    seen = []

    async def looks(value):
        await asyncio.sleep(0)
        seen.append("before")
        result = yield
        await asyncio.sleep(0)
        seen.append(result)

    async def replaces(value):
        result = yield
        yield [*result, 2]

    add("many", "replaces", replaces, wrapper=True)
    add("many", "looks", looks, wrapper=True)
    assert run(pm.ahook.many(value=1)) == [1, 2]
    assert seen == ["before", [1, 2]]


def test_an_async_wrapper_sees_errors_and_recovers(pm, add):
    async def fails(value):
        raise ValueError("inner")

    async def recovers(value):
        try:
            yield
        except ValueError as error:
            yield [str(error)]

    add("many", "fails", fails)
    with pytest.raises(ValueError, match="inner"):
        run(pm.ahook.many(value=1))
    add("many", "recovers", recovers, wrapper=True)
    assert run(pm.ahook.many(value=1)) == ["inner"]


def test_an_error_is_the_same_object_outside(pm, add):
    error = KeyError("mine")

    async def fails(value):
        raise error

    def wrapper(value):
        return (yield)

    add("many", "fails", fails)
    add("many", "wrapper", wrapper, wrapper=True)
    with pytest.raises(KeyError) as raised:
        run(pm.ahook.many(value=1))
    assert raised.value is error


@pytest.mark.parametrize("stop", [StopIteration, RuntimeError])
def test_a_stop_iteration_passes_a_wrapper(pm, add, stop):
    def fails(value):
        raise stop("out")

    def wrapper(value):
        return (yield)

    add("many", "fails", fails)
    add("many", "wrapper", wrapper, wrapper=True)

    async def main():
        try:
            return await pm.ahook.many(value=1)
        # Within a coroutine Python itself makes a RuntimeError of it.
        except RuntimeError as error:
            return error

    error = asyncio.run(main())
    assert isinstance(error if stop is RuntimeError else error.__cause__, stop)


def test_wrappers_that_yield_too_often_or_never(pm, add):
    async def thrice(value):
        yield
        yield 1
        yield 2

    async def never(value):
        if value is None:
            yield

    add("many", "thrice", thrice, wrapper=True)
    with pytest.raises(RuntimeError, match="has third yield"):
        run(pm.ahook.many(value=1))
    pm.unregister(name="thrice")
    add("many", "never", never, wrapper=True)
    with pytest.raises(RuntimeError, match="did not yield"):
        run(pm.ahook.many(value=1))


def test_cancelling_reaches_the_impl_and_the_wrappers(pm, add):
    seen = []

    async def waits(value):
        try:
            await asyncio.sleep(60)
        finally:
            seen.append("impl")

    async def wrapper(value):
        try:
            yield
        finally:
            seen.append("wrapper")

    add("many", "waits", waits)
    add("many", "wrapper", wrapper, wrapper=True)

    async def main():
        task = asyncio.create_task(pm.ahook.many(value=1))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert seen == ["impl", "wrapper"]


def test_calls_do_not_wait_for_each_other(pm, add):
    barrier = []

    async def meets(value):
        barrier.append(value)
        while len(barrier) < 20:
            await asyncio.sleep(0)
        return value

    add("first", "meets", meets)

    async def main():
        return await asyncio.wait_for(asyncio.gather(*(pm.ahook.first(value=at) for at in range(20))), 30)

    assert asyncio.run(main()) == list(range(20))


def test_a_missing_argument_is_named(pm):
    with pytest.warns(UserWarning, match="Argument.s. 'value'") as warned:
        assert run(pm.ahook.many()) == []
    assert warned[0].filename == __file__


def test_an_argument_that_no_call_gives(pm):
    from conftest import hookimpl

    class Plugin:
        @hookimpl
        def unspecified(self, other):
            """Never reached."""

    pm.register(Plugin())
    with pytest.raises(HookCallError, match="must provide argument 'other'"):
        run(pm.ahook.unspecified(value=1))


def test_monitors_see_awaited_calls(pm, add):
    add("many", "a", later(1))
    seen = []
    undo = pm.add_hookcall_monitoring(
        lambda name, impls, kwargs: seen.append((name, len(impls), kwargs)),
        lambda outcome, name, impls, kwargs: seen.append(outcome.get_result()),
    )
    assert run(pm.ahook.many(value=1)) == [1]
    assert seen == [("many", 1, {"value": 1}), [1]]
    undo()
    run(pm.ahook.many(value=1))
    assert len(seen) == 2


def test_a_sync_call_says_that_an_async_wrapper_needs_await(pm, add):
    async def wrapper(value):
        yield

    add("many", "wrapper", wrapper, wrapper=True)
    with pytest.raises(TypeError, match="await the call, with `ahook`"):
        pm.hook.many(value=1)


def test_historic_hooks_are_not_awaited(pm):
    with pytest.raises(AssertionError, match="call_historic"):
        pm.ahook.past(value=1)


def test_ahook_is_made_once(pm):
    assert pm.ahook is pm.ahook
