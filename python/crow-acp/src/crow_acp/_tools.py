"""Tools, commands and providers from plain functions: names, descriptions and schemas are read off them."""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from crow_acp import _crow
from crow_acp._errors import ProviderError

if TYPE_CHECKING:
    from crow_acp.types import ToolKind

#: Arguments that the agent fills in: the model does not see them.
GIVEN = ("agent", "session", "call_id")

_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array", dict: "object"}


def schema_of(kind: Any) -> dict[str, Any]:
    """JSON Schema of a type hint."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        described = schema_of(args[0])
        notes = [note for note in args[1:] if isinstance(note, str)]
        return {**described, "description": " ".join(notes)} if notes else described
    if origin is typing.Literal:
        types_ = {type(value) for value in args}
        named = {"type": _NAMES[types_.pop()]} if len(types_) == 1 else {}
        return {**named, "enum": list(args)}
    if origin in (typing.Union, types.UnionType):
        kinds = [arg for arg in args if arg is not type(None)]
        if len(kinds) == 1:
            return schema_of(kinds[0])
        return {"anyOf": [schema_of(arg) for arg in kinds]}
    if origin in (list, set, tuple, frozenset) or (origin and getattr(origin, "__module__", "") == "collections.abc"):
        if hasattr(origin, "keys"):
            return {"type": "object"}
        items = [arg for arg in args if arg is not Ellipsis]
        return {"type": "array", "items": schema_of(items[0])} if items else {"type": "array"}
    if origin is dict:
        values = schema_of(args[1]) if len(args) == 2 else {}
        return {"type": "object", "additionalProperties": values} if values else {"type": "object"}
    if kind in _NAMES:
        return {"type": _NAMES[kind]}
    if typing.is_typeddict(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        required = sorted(kind.__required_keys__)
        properties = {name: schema_of(hint) for name, hint in hints.items()}
        return {"type": "object", "properties": properties, "required": required}
    return {}


def _described(docstring: str | None) -> tuple[str, dict[str, str]]:
    """A docstring as what the whole is for, and what each argument is (Google's and Sphinx's ways)."""
    text = inspect.cleandoc(docstring or "")
    notes = dict(re.findall(r":param (?:[\w\[\], ]+ )?(\w+): *(.+)", text))
    body, _, rest = text.partition("\nArgs:\n")
    for line in rest.splitlines():
        found = re.match(r"\s+(\w+)(?: *\([^)]*\))?: *(.+)", line)
        if found:
            notes[found[1]] = found[2].strip()
        elif line and not line.startswith(" "):
            break
    body = re.split(r"\n *:(?:param|returns?|raises)\b|\n(?:Returns|Raises):", body)[0]
    return body.strip(), notes


def _parameters(function: Callable[..., Any]) -> tuple[dict[str, Any], list[str]]:
    hints = typing.get_type_hints(function, include_extras=True)
    _, notes = _described(function.__doc__)
    properties: dict[str, Any] = {}
    required = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in GIVEN or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        schema = schema_of(hints.get(name, Any))
        if name in notes and "description" not in schema:
            schema["description"] = notes[name]
        if parameter.default is parameter.empty:
            required.append(name)
        elif isinstance(parameter.default, (str, int, float, bool)):
            schema["default"] = parameter.default
        properties[name] = schema
    return properties, required


@overload
def tool(
    function: Callable[..., Any],
    *,
    name: str | None = ...,
    description: str | None = ...,
    kind: ToolKind = ...,
    read_only: bool = ...,
    input_schema: dict[str, Any] | None = ...,
) -> _crow.Tool: ...
@overload
def tool(
    *,
    name: str | None = ...,
    description: str | None = ...,
    kind: ToolKind = ...,
    read_only: bool = ...,
    input_schema: dict[str, Any] | None = ...,
) -> Callable[[Callable[..., Any]], _crow.Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    kind: ToolKind = "other",
    read_only: bool = False,
    input_schema: dict[str, Any] | None = None,
) -> Any:
    """Makes a function a tool of the model's: schema from its type hints, description from its docstring.

    Arguments called `agent`, `session` and `call_id` are filled in by the agent. What it returns is what the model
    reads; what it raises is the call's failed result. `read_only` tools run together and need no permission.
    """

    def make(function: Callable[..., Any]) -> _crow.Tool:
        text, _ = _described(function.__doc__)
        schema = input_schema
        if schema is None:
            properties, required = _parameters(function)
            schema = {"type": "object", "properties": properties, "required": required}
            schema["additionalProperties"] = False
        given = [arg for arg in inspect.signature(function).parameters if arg in GIVEN]

        def run(arguments: dict[str, Any] | None, agent: Any, session: Any, call_id: str) -> Any:
            own = {"agent": agent, "session": session, "call_id": call_id}
            return function(**(arguments or {}), **{arg: own[arg] for arg in given})

        title: str = name or getattr(function, "__name__", None) or "tool"
        return _crow.Tool(title, description or text or title, schema, run, kind, read_only)

    return make if function is None else make(function)


@overload
def command(
    function: Callable[..., Any], *, name: str | None = ..., description: str | None = ..., hint: str | None = ...
) -> _crow.Command: ...
@overload
def command(
    *, name: str | None = ..., description: str | None = ..., hint: str | None = ...
) -> Callable[[Callable[..., Any]], _crow.Command]: ...
def command(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    hint: str | None = None,
) -> Any:
    """Makes a function a slash command: it gets what was typed behind the name, and returns what the user reads.

    A dict `{"prompt": text}` goes to the model instead. Arguments called `agent` and `session` are filled in.
    """

    def make(function: Callable[..., Any]) -> _crow.Command:
        text, _ = _described(function.__doc__)
        parameters = list(inspect.signature(function).parameters)
        given = [arg for arg in parameters if arg in ("agent", "session", "call")]
        takes_text = len(parameters) > len(given)

        def run(arguments: str, agent: Any, session: Any, call: Any) -> Any:
            own = {"agent": agent, "session": session, "call": call}
            typed = (arguments,) if takes_text else ()
            return function(*typed, **{arg: own[arg] for arg in given})

        title: str = name or getattr(function, "__name__", "command").replace("_", "-")
        about = description or (text.splitlines() or [title])[0]
        return _crow.Command(title, about, run, hint)

    return make if function is None else make(function)


def provider(
    name: str, *, models: Sequence[str | Mapping[str, Any]]
) -> Callable[[Callable[..., Any]], _crow.Provider]:
    """Makes a function a provider of models: an async generator of the pieces of the answer.

    It gets the request, a dict with `messages`, `system`, `tools`, `model` and `parameters`. A piece is text, or a dict
    with `kind` (`text`, `thought`, `tool_call`) and `text`; a dict with `finish` or `usage` says how it ended.
    """

    def make(function: Callable[..., Any]) -> _crow.Provider:
        @functools.wraps(function)
        async def stream(request: dict[str, Any], deltas: Any) -> dict[str, Any]:
            end: dict[str, Any] = {}
            called = False
            try:
                pieces = function(request)
                if inspect.isawaitable(pieces):
                    pieces = await pieces
                if hasattr(pieces, "__aiter__"):
                    async for piece in pieces:
                        called = _piece(piece, deltas, end) or called
                else:
                    for piece in [pieces] if isinstance(pieces, (str, dict)) else pieces:
                        called = _piece(piece, deltas, end) or called
            except ProviderError as error:
                return {"error": {"kind": error.kind, "message": str(error), "retry_after": error.retry_after}}
            if called:
                end.setdefault("finish", "tool_calls")
            return end

        return _crow.Provider(name, models, stream)

    return make


def _piece(piece: Any, deltas: Any, end: dict[str, Any]) -> bool:
    if isinstance(piece, dict) and not {"text", "kind"} & piece.keys():
        end.update(piece)
        return False
    deltas.push(piece)
    return isinstance(piece, dict) and piece.get("kind") == "tool_call"


#: Hooks whose results may hold plain functions, and what becomes of those.
OFFERS: dict[str, Callable[[Any], Any]] = {
    "register_tools": lambda item: item if isinstance(item, _crow.Tool) else tool(item),
    "register_commands": lambda item: item if isinstance(item, _crow.Command) else command(item),
    "register_providers": lambda item: item,
}


def offering(hook: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose result is a list of what the hook offers, whatever it gives."""
    make = OFFERS[hook]

    def offered(result: Any) -> Any:
        if result is None:
            return None
        return [make(item) for item in (result if isinstance(result, (list, tuple)) else [result])]

    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return function
    if inspect.iscoroutinefunction(function):

        async def later(*args: Any) -> Any:
            return offered(await function(*args))

        return later

    def now(*args: Any) -> Any:
        return offered(function(*args))

    return now
