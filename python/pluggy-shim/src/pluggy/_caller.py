"""Callers of hooks."""

from collections.abc import Callable

from crow_hooks._markers import HookRelay
from crow_hooks._native import HookCaller
from crow_hooks._native import _SubsetHookCaller


_HookCaller = HookCaller
_HookRelay = HookRelay
_HookExec = Callable[..., object]

__all__ = ["HookCaller", "HookRelay", "_HookCaller", "_HookExec", "_HookRelay", "_SubsetHookCaller"]
