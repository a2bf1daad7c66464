"""Distributions as older code expects them."""

from crow_hooks._compat import DistFacade


__all__ = ["DistFacade"]
