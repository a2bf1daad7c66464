"""Implementations of hooks."""

from collections.abc import Callable

from crow_hooks._native import HookImpl


_Plugin = object
_HookImplFunction = Callable[..., object]

__all__ = ["HookImpl", "_HookImplFunction", "_Plugin"]
