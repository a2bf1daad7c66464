"""Warnings."""

from crow_hooks._errors import PluggyTeardownRaisedWarning
from crow_hooks._errors import PluggyWarning


__all__ = ["PluggyTeardownRaisedWarning", "PluggyWarning"]
