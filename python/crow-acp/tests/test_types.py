"""The types of the hooks are those of the specs."""

from __future__ import annotations

import runpy
from pathlib import Path

import crow_acp


def test_the_stub_is_as_it_would_be_written() -> None:
    stubs = runpy.run_path(str(Path(__file__).parent.parent / "stubs.py"))
    written = Path(crow_acp.__file__).with_name("_hooks.pyi").read_text(encoding="utf-8")
    assert written == stubs["stub"](), "run stubs.py"


def test_everything_that_is_promised_is_there() -> None:
    assert all(hasattr(crow_acp, name) for name in crow_acp.__all__)
    from crow_acp import plugins

    assert [type(getattr(plugins, name)()).__name__ for name in plugins.__all__] == ["BuiltIn"] * len(plugins.__all__)
