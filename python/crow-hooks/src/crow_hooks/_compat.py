"""Distributions as the older ``pkg_resources`` showed them."""

from __future__ import annotations


class DistFacade:
    """An ``importlib.metadata.Distribution`` with a ``project_name``."""

    __slots__ = ("_dist",)

    def __init__(self, dist):
        self._dist = dist

    @property
    def project_name(self):
        return self.metadata["name"]

    def __getattr__(self, name):
        return getattr(self._dist, name)

    def __dir__(self):
        return sorted([*dir(self._dist), "_dist", "project_name"])
