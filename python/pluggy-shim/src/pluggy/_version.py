"""The version."""

from importlib.metadata import version as _version


version = __version__ = _version("pluggy")
__version_tuple__ = version_tuple = (1, 7, 0, "crow")

__all__ = ["__version__", "__version_tuple__", "version", "version_tuple"]
