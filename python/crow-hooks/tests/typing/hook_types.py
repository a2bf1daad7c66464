"""Types of hooks. Made by `crow-hooks stubs`; do not edit."""

from __future__ import annotations

from typing import Protocol

from crow_hooks import HookCaller as HookCaller
from collections.abc import Awaitable as Awaitable
from specs import Item as Item


class Hooks(Protocol):
    """`pm.hook`, for `PluginManager[Hooks, AsyncHooks]`."""

    def count(self, *, item: Item, limit: int = ...) -> list[int]:
        """Count something."""
        ...

    def find(self, *, name: str) -> Item | Awaitable[Item] | None:
        """Find an item."""
        ...

    started: HookCaller


class AsyncHooks(Protocol):
    """`pm.ahook`."""

    async def count(self, *, item: Item, limit: int = ...) -> list[int]:
        """Count something."""
        ...

    async def find(self, *, name: str) -> Item | None:
        """Find an item."""
        ...
