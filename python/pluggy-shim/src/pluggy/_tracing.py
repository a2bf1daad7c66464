"""Tracing."""

from crow_hooks._tracing import TagTracer
from crow_hooks._tracing import TagTracerSub


__all__ = ["TagTracer", "TagTracerSub"]
