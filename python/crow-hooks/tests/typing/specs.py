"""Hook specifications with types; `hook_types.py` is made from them."""

from __future__ import annotations

from collections.abc import Awaitable

from crow_hooks import HookspecMarker


hookspec = HookspecMarker("typed")


class Item:
    """Something of the host's."""


class Specs:
    @hookspec
    def count(self, item: Item, limit: int = 10) -> int:
        """Count something."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def find(self, name: str) -> Item | Awaitable[Item]:
        """Find an item."""
        raise NotImplementedError

    @hookspec(historic=True)
    def started(self) -> None:
        """The host has started."""
