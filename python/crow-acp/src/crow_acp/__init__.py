"""Crow, a coding agent for editors whose whole life is opened up by hooks.

    from crow_acp import AcpAgent, run_agent

    agent = AcpAgent()         # installed plugins are found by themselves
    await run_agent(agent)     # speaks the Agent Client Protocol on stdio
"""

from __future__ import annotations

from crow_acp._crow import (
    AcpAgent,
    Command,
    Config,
    Deltas,
    HookCaller,
    HookError,
    HookRelay,
    Messages,
    PluginManager,
    PluginValidationError,
    Provider,
    Refused,
    Session,
    Tool,
)
from crow_acp._errors import ProviderError
from crow_acp._markers import hookimpl, hookspec

#: Not `typing`'s: that takes longer to import than all of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from crow_acp._tools import command, provider, tool

__version__ = "0.1.0"

__all__ = [
    "AcpAgent",
    "Command",
    "Config",
    "Deltas",
    "HookCaller",
    "HookError",
    "HookRelay",
    "Messages",
    "PluginManager",
    "PluginValidationError",
    "Provider",
    "ProviderError",
    "Refused",
    "Session",
    "Tool",
    "command",
    "hookimpl",
    "hookspec",
    "provider",
    "run_agent",
    "tool",
]


async def run_agent(agent: AcpAgent) -> None:
    """Serves `agent` on standard input and output until the input ends. Plugins run on the loop that awaits this."""
    # Programs that only look at the package do without asyncio.
    from crow_acp import _serve

    await _serve.run(agent)


def __getattr__(name: str) -> Any:
    # They need `inspect`.
    if name in ("tool", "command", "provider"):
        from crow_acp import _tools

        return getattr(_tools, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
