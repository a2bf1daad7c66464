"""The built-in plugins, for programs that put an agent together by hand. They are Rust's; registering one takes the place
of the one that is there."""

from __future__ import annotations

from crow_acp._crow import BuiltIn


def PersistenceHook() -> BuiltIn:  # noqa: N802 - it reads like the class that it stands for
    """Keeps sessions in a SQLite file."""
    return BuiltIn("persistence")


def SystemPromptHook(role: str | None = None) -> BuiltIn:  # noqa: N802
    """The system prompt; `role` is its first section: "You are Crow."."""
    return BuiltIn("system-prompt", role)


def ToolsHook() -> BuiltIn:  # noqa: N802
    """Files, search, terminal, web."""
    return BuiltIn("tools")


def PermissionsHook() -> BuiltIn:  # noqa: N802
    """Asks before anything is changed, and remembers."""
    return BuiltIn("permissions")


def OpenAIHook() -> BuiltIn:  # noqa: N802
    """Models behind the Chat Completions protocol."""
    return BuiltIn("openai")


def CompactionHook() -> BuiltIn:  # noqa: N802
    """Makes long conversations fit the model's window."""
    return BuiltIn("compaction")


def RetryHook() -> BuiltIn:  # noqa: N802
    """Asks again when a provider is busy."""
    return BuiltIn("retry")


def ReplayHook() -> BuiltIn:  # noqa: N802
    """Plays and records model conversations."""
    return BuiltIn("replay")


def AnalyticsHook() -> BuiltIn:  # noqa: N802
    """Counts tokens, money and time; budgets."""
    return BuiltIn("analytics")


def CheckpointsHook() -> BuiltIn:  # noqa: N802
    """Keeps what files were; `/undo` brings them back."""
    return BuiltIn("checkpoints")


def CommandHooksHook() -> BuiltIn:  # noqa: N802
    """Runs commands when something happens (`hooks.json`)."""
    return BuiltIn("command-hooks")


def GenaiHook() -> BuiltIn:  # noqa: N802
    """Models behind the protocols of Anthropic, OpenAI Responses, Gemini and Ollama."""
    return BuiltIn("genai")


def McpHook() -> BuiltIn:  # noqa: N802
    """Tools and prompts of MCP servers."""
    return BuiltIn("mcp")


def SkillsRagHook() -> BuiltIn:  # noqa: N802
    """Skills, and documents found when they are needed."""
    return BuiltIn("skills-rag")


def SlashCommandsHook() -> BuiltIn:  # noqa: N802
    """Markdown files as slash commands."""
    return BuiltIn("slash-commands")


__all__ = [
    "AnalyticsHook",
    "CheckpointsHook",
    "CommandHooksHook",
    "CompactionHook",
    "GenaiHook",
    "McpHook",
    "OpenAIHook",
    "PermissionsHook",
    "PersistenceHook",
    "ReplayHook",
    "RetryHook",
    "SkillsRagHook",
    "SlashCommandsHook",
    "SystemPromptHook",
    "ToolsHook",
]
