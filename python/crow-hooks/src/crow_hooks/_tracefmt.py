"""How a trace message looks."""

from __future__ import annotations

import enum
import os


def format_message(depth, tags, args):
    """One line; a dict at the end follows as lines ``key: value``."""
    extra = {}
    if isinstance(args[-1], dict):
        *args, extra = args
    indent = "  " * depth
    content = " ".join(map(_text, args))
    lines = [f"{indent}{content} [{':'.join(tags)}]\n"]
    for key, value in extra.items():
        shown = _value(value)
        body = shown.splitlines()
        # Every kind of line break counts: a lone carriage return would overwrite the key on a terminal.
        if not body or body == [shown]:
            lines.append(f"{indent}    {key}: {shown}\n")
        else:
            lines.append(f"{indent}    {key}:\n")
            lines.extend(f"{indent}      {line}\n" for line in body)
    return "".join(lines)


def _value(value):
    # Enums first: the members of some are strings that do not tell their names.
    if isinstance(value, (enum.Enum, os.PathLike)):
        return _text(value, repr)
    if isinstance(value, str):
        plain = value and value.isprintable() and " " not in value
        return _text(value, str if plain or len(value.splitlines()) > 1 else repr)
    return _text(value)


def _text(value, show=str):
    """``str`` or ``repr``, whose failure is shown and not raised, in characters that every writer takes."""
    try:
        text = show(value)
    except Exception as error:
        text = _failure(error, value, show.__name__)
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _failure(error, value, function):
    try:
        what = repr(error)
    except Exception:
        what = f"unpresentable {type(error).__name__}"
    return f"<[{what} raised in {function}()] {type(value).__name__} object at 0x{id(value):x}>"
