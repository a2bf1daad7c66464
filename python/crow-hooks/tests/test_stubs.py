"""Types made from hook specifications."""

import os
from pathlib import Path

from crow_hooks._stubs import generate


FOLDER = Path(__file__).parent / "typing"


def test_the_types_of_the_specifications(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    text = generate("specs:Specs", "typed")
    if "UPDATE_EXPECT" in os.environ:
        (FOLDER / "hook_types.py").write_text(text)
    assert (FOLDER / "hook_types.py").read_text() == text


def test_a_signature_as_calls_have_it(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    text = generate("specs:Specs", "typed")
    assert "def count(self, *, item: Item, limit: int = ...) -> list[int]:" in text
    assert "async def find(self, *, name: str) -> Item | None:" in text
    assert "started: HookCaller" in text
