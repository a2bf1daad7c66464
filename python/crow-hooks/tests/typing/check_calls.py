"""What type checkers know of calls. Not run: mypy and pyright read it, both strict."""

from __future__ import annotations

from typing import Any, assert_type

from crow_hooks import HookimplMarker, PluginManager, Result

from hook_types import AsyncHooks, Hooks
from specs import Item, Specs


hookimpl = HookimplMarker("typed")


class Plugin:
    @hookimpl(tryfirst=True, before="other", after=["some", "more"])
    def count(self, item: Item) -> int:
        return 1

    @hookimpl
    def find(self, name: str) -> Item:
        return Item()


assert_type(Plugin().count(Item()), int)

pm: PluginManager[Hooks, AsyncHooks] = PluginManager("typed")
pm.add_hookspecs(Specs)
pm.register(Plugin())
assert_type(pm.hook.count(item=Item(), limit=3), list[int])
assert_type(pm.hook.count(item=Item()), list[int])
pm.hook.started.call_historic()
pm.hook.count(item="no")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
pm.hook.missing()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


async def awaited() -> None:
    assert_type(await pm.ahook.count(item=Item()), list[int])
    assert_type(await pm.ahook.find(name="x"), Item | None)


def after(outcome: Result[Any]) -> int:
    outcome.force_result(1)
    return len(pm.load_entrypoints("group", lazy=True).failed)


untyped = PluginManager("untyped")
assert_type(untyped.hook.anything(x=1), Any)
