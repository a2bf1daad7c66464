"""Options of specifications and implementations."""

from crow_hooks._markers import normalize_hookimpl_opts
from crow_hooks._opts import HookimplOpts
from crow_hooks._opts import HookspecOpts


__all__ = ["HookimplOpts", "HookspecOpts", "normalize_hookimpl_opts"]
