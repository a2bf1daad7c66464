"""Outcomes of hook calls."""

from crow_hooks._errors import HookCallError
from crow_hooks._native import Result


_Result = Result

__all__ = ["HookCallError", "Result", "_Result"]
