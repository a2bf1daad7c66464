"""The search, and the plugin in the real agent."""

import json
import os
from pathlib import Path

from crow_acp.testing import Workspace, say
from crow_skills_rag import VectorDb


def test_the_nearest_comes_first(tmp_path: Path) -> None:
    (tmp_path / "birds.md").write_text("Crows are black birds that use tools.\n")
    (tmp_path / "fish.md").write_text("Herrings are silver fish that live in shoals.\n")
    db = VectorDb(tmp_path)
    found = db.search("which birds use tools?")
    assert [chunk.path.name for _, chunk in found] == ["birds.md"]
    assert db.search("tax returns") == []


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("The door code is 1234.")
    db = VectorDb(tmp_path)
    assert "1234" in db.search("door code")[0][1].text
    note.write_text("The door code is 5678.")
    os.utime(note, (1, 1))
    assert "5678" in db.search("door code")[0][1].text
    note.unlink()
    assert db.search("door code") == []


def test_long_files_come_in_chunks_that_know_their_line(tmp_path: Path) -> None:
    paragraph = "Filler text about nothing at all, again and again.\n" * 20
    (tmp_path / "long.md").write_text(f"{paragraph}\n{paragraph}\nThe treasure is under the oak.\n")
    ((_, chunk),) = VectorDb(tmp_path).search("treasure oak", top_k=1)
    assert chunk.line == 43 and chunk.text == "The treasure is under the oak."


def test_what_was_found_goes_along_once(tmp_path: Path) -> None:
    with Workspace(tmp_path) as place:
        notes = place.home / "notes"
        notes.mkdir()
        (notes / "release.md").write_text("Releases are cut on Tuesdays by Ada.\n")
        place.model.push(say("Ada."), say("Tuesday."), say("No idea."))
        crow = place.start()
        session = crow.new_session()
        crow.prompt(session, "who cuts releases?")
        crow.prompt(session, "and when are releases cut?")
        crow.prompt(crow.new_session(), "what is for lunch?")
        first, second, third = (json.dumps(request["messages"]) for request in place.model.requests)
        assert first.count("cut on Tuesdays") == 1 and "release.md:1" in first
        assert second.count("cut on Tuesdays") == 1
        assert "Tuesdays" not in third
