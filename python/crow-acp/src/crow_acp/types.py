"""What hooks are given and give, as types: dicts, lists and text at run time.

For type checkers alone: nothing of the package imports this.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict

from crow_acp._crow import Tool

Json: TypeAlias = Any

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
Finish: TypeAlias = Literal["stop", "tool_calls", "length", "refusal"]
StopReason: TypeAlias = Literal["end_turn", "max_tokens", "max_turn_requests", "refusal", "cancelled"]
EndReason: TypeAlias = Literal["closed", "deleted", "disconnected"]
Severity: TypeAlias = Literal["info", "warning", "error"]
ToolKind: TypeAlias = Literal["read", "edit", "delete", "move", "search", "execute", "think", "fetch", "other"]
ModelId: TypeAlias = str


class _MessageOptional(TypedDict, total=False):
    id: str
    owner: str
    tool_call_id: str


class Message(_MessageOptional):
    """`content` is text, or a list of parts if there is more than one piece of text."""

    role: Role
    content: str | list[dict[str, Any]]


class Usage(TypedDict, total=False):
    """Tokens."""

    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int


class Model(TypedDict):
    """What is known of a model."""

    id: ModelId
    context_window: int | None
    max_output: int | None
    images: bool
    reasoning: bool
    price: dict[str, float | None] | None


class _SectionOptional(TypedDict, total=False):
    owner: str
    scope: Literal["static", "session", "turn"]


class Section(_SectionOptional):
    """A section of the system prompt."""

    id: str
    text: str


class Parameters(TypedDict):
    """Parameters of a request; what is `None` is not sent."""

    max_output_tokens: int | None
    temperature: float | None
    reasoning_effort: str | None
    extra: dict[str, Json]


class Request(TypedDict):
    """A request to a model."""

    session_id: str
    model: Model
    system: list[Section]
    messages: list[Message]
    tools: list[Tool]
    parameters: Parameters


class Completion(TypedDict, total=False):
    """How an answer ended."""

    finish: Finish
    usage: Usage | None


class Response(TypedDict):
    """A whole answer."""

    message: Message
    model: ModelId
    usage: Usage
    finish: Finish


class Delta(TypedDict, total=False):
    """A fragment of an answer. Only `text` can be changed."""

    kind: Literal["text", "thought", "tool_call", "other"]
    text: str
    done: bool
    signed: bool
    index: int
    id: str | None
    name: str | None


class _ToolCallOptional(TypedDict, total=False):
    raw_arguments: str


class ToolCall(_ToolCallOptional):
    """A call of a tool."""

    id: str
    name: str
    arguments: Json


class _ToolOutcomeOptional(TypedDict, total=False):
    status: Literal["completed", "failed", "cancelled"]
    content: list[dict[str, Any]]
    locations: list[dict[str, Any]]
    raw_output: Json


class ToolOutcome(_ToolOutcomeOptional):
    """What a call gave; `text` is what the model reads."""

    text: str


class Turn(TypedDict):
    """Where a run stands."""

    number: int
    usage: Usage


class ContextUse(TypedDict):
    """How full the context is."""

    used: int
    window: int | None
    max_output: int | None
    overflow: bool


class ProviderFailure(TypedDict):
    """Why a request failed."""

    kind: str
    status: int | None
    retry_after: float | None
    message: str


class RunError(TypedDict):
    """An error that ended a run."""

    message: str
    provider: ProviderFailure | None
    plugin: str | None
    hook: str | None


class RunOutcome(TypedDict):
    """How a run ended."""

    stop_reason: StopReason
    error: RunError | None
    usage: Usage
    turns: int


class ToolCallError(TypedDict):
    """Why a call cannot run as it is."""

    kind: Literal["unknown_tool", "malformed", "invalid", "other"]
    message: str


class Asked(TypedDict):
    """A compaction that somebody asked for."""

    asked: str | None


class CompactPlan(TypedDict):
    """What `compact` is asked to do."""

    trigger: CompactTrigger
    context: ContextUse
    messages: list[Message]


class Compaction(TypedDict):
    """What `compact` gives."""

    messages: list[Message]
    summary: str


class CompactReport(TypedDict):
    """What a compaction did, in estimated tokens."""

    trigger: CompactTrigger
    before: int
    after: int


class SubagentSpec(TypedDict):
    """What a subagent is to do."""

    prompt: Message
    model: ModelId | None


class Mode(TypedDict, total=False):
    """A session mode."""

    id: str
    name: str
    description: str | None


class OptionValue(TypedDict, total=False):
    """A value of an option."""

    id: str
    name: str


class ConfigOption(TypedDict, total=False):
    """A choice that a session offers."""

    id: str
    name: str
    description: str | None
    category: str | None
    current: str
    values: list[OptionValue | str]


#: `id`, `from` and `to`.
OptionChange = TypedDict("OptionChange", {"id": str, "from": "str | None", "to": str})


class CommandCall(TypedDict):
    """A slash command as it was typed."""

    name: str
    arguments: str
    message: Message


class PromptReply(TypedDict):
    """The answer of a command that goes to the model."""

    prompt: Message | str


class Event(TypedDict, total=False):
    """An entry of a session's log; what else is in it depends on `type`."""

    seq: int
    at: int
    type: str
    message: Any
    model: ModelId
    usage: Usage
    cost: float | None


class SessionSummary(TypedDict):
    """What a store knows of a session."""

    id: str
    cwd: str
    title: str | None
    model: ModelId | None
    created_at: int
    updated_at: int
    parent: str | None


class SessionRecord(TypedDict):
    """A session as a store gives it back."""

    summary: SessionSummary
    events: list[Event]


class SessionQuery(TypedDict):
    """What `list_sessions` is asked for."""

    cwd: str | None
    before: tuple[int, str] | None
    limit: int


class Update(TypedDict, total=False):
    """News of a session on its way to the client; `kind` says which."""

    kind: str
    message_id: str
    text: str
    call_id: str
    name: str
    title: str


class Stop(TypedDict, total=False):
    """Ends a run."""

    stop: StopReason
    message: str | None


class Inject(TypedDict):
    """Puts messages in."""

    inject: list[Message]


class Retry(TypedDict, total=False):
    """Asks again after so many seconds."""

    retry: float
    notice: str


class SwitchModel(TypedDict):
    """Asks another model."""

    model: ModelId


class Deny(TypedDict):
    """Refuses, with a reason."""

    deny: str


class Answer(TypedDict):
    """Answers in a tool's place."""

    answer: ToolOutcome | str


class Choice(TypedDict, total=False):
    """A possible answer to a question."""

    id: str
    name: str
    kind: Literal["allow_once", "allow_always", "reject_once", "reject_always"]


CompactTrigger: TypeAlias = "Literal['threshold', 'overflow', 'asked'] | Asked"
TurnDecision: TypeAlias = "Literal['compact'] | Stop | Inject"
Recovery: TypeAlias = "Literal['fail', 'compact'] | Retry | SwitchModel"
ToolGate: TypeAlias = "Deny | Answer"
Permission: TypeAlias = "Literal['allow'] | Deny"
KeepGoing: TypeAlias = "Message | str"
CommandReply: TypeAlias = "str | PromptReply"
