"""The shapes of the dicts that markers leave. Apart, because `typing` takes longer to import than all the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict


class HookspecOpts(TypedDict):
    """The options of a hook specification."""

    firstresult: bool
    historic: bool
    warn_on_impl: Warning | None
    warn_on_impl_args: Mapping[str, Warning] | None


class HookimplOpts(TypedDict):
    """The options of a hook implementation."""

    wrapper: bool
    hookwrapper: bool
    optionalhook: bool
    tryfirst: bool
    trylast: bool
    specname: str | None
