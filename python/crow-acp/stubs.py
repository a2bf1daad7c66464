"""Writes `src/crow_acp/_hooks.pyi` from the hookspecs: `python stubs.py`. A test checks that it is as it would be written."""

from __future__ import annotations

import textwrap
from pathlib import Path

from crow_acp import _crow

HEAD = '''"""The hooks, to be called. Written by stubs.py from the hookspecs."""

from collections.abc import Awaitable
from typing import Any

from crow_acp import types as t
from crow_acp._crow import AcpAgent, Command, Config, Deltas, HookCaller, Provider, Session, Tool

class HookRelay:
    """The agent's hooks, by name. Hooks of plugins' own are there as well."""

    def __getattr__(self, name: str) -> Any: ...
'''

#: Types of Rust that are called something else in Python.
NAMES = {
    "()": "None",
    "str": "str",
    "String": "str",
    "u32": "int",
    "f32": "float",
    "Value": "Any",
    "Agent": "AcpAgent",
    "Session": "Session",
    "Config": "Config",
    "Deltas<'_>": "Deltas",
    "Sections": "list[t.Section]",
    "ProviderDescriptor": "Provider",
    "ToolDescriptor": "Tool",
    "Command": "Command",
    "ProviderError": "t.ProviderFailure",
}


def python(rust: str) -> str:
    """A type of Rust as one of Python."""
    rust = rust.removeprefix("&").strip().removeprefix("mut ").strip()
    if rust in NAMES:
        return NAMES[rust]
    if rust.startswith("Vec<"):
        return f"list[{python(rust[4:-1])}]"
    if rust.startswith("["):
        return f"list[{python(rust[1:-1])}]"
    return f"t.{rust}"


def stub() -> str:
    """The whole stub."""
    lines = [HEAD]
    for name, spec in _crow.specs().items():
        args = "".join(f", {arg}: {python(kind)}" for arg, kind in spec["args"])
        output = python(spec["output"])
        result = "list[Any]" if output == "None" else f"{output} | None" if spec["firstresult"] else f"list[{output}]"
        doc = textwrap.fill(" ".join(spec["doc"].split()).replace("\\", ""), 110)
        doc = textwrap.indent(f'"""{doc}"""', " " * 8)
        lines.append(f"    def {name}(self, *{args}) -> Awaitable[{result}]:\n{doc}\n        ...\n")
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


if __name__ == "__main__":
    (Path(__file__).parent / "src" / "crow_acp" / "_hooks.pyi").write_text(stub(), encoding="utf-8")
