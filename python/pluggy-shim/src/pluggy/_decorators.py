"""Markers, and what they mark."""

from crow_hooks._markers import HookimplMarker
from crow_hooks._markers import HookSpec
from crow_hooks._markers import HookspecMarker
from crow_hooks._native import varnames


_Namespace = object

__all__ = ["HookSpec", "HookimplMarker", "HookspecMarker", "_Namespace", "varnames"]
