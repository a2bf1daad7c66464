"""Exceptions that plugins raise."""

from __future__ import annotations


class ProviderError(Exception):
    """A model cannot be reached, or refuses; `kind` decides whether it is asked again.

    The kinds: authentication, payment, not_found, bad_request, rate_limit, overloaded, server, connection, timeout,
    context_overflow, protocol, unsupported.
    """

    def __init__(self, message: str, kind: str = "server", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after
