"""The store in the real agent."""

import sqlite3
from pathlib import Path

from crow_acp.testing import Workspace, call, say, texts


def test_a_session_outlives_the_process(tmp_path: Path) -> None:
    with Workspace(tmp_path) as place:
        place.model.push(say("I shall remember."))
        crow = place.start()
        session = crow.new_session()
        crow.prompt(session, "the word is heron")
        assert crow.close() == 0

        crow = place.start()
        listed = crow.request("session/list", {})["sessions"]
        assert [entry["sessionId"] for entry in listed] == [session]
        crow.request("session/load", {"sessionId": session, "cwd": str(place.project), "mcpServers": []})
        assert "I shall remember." in crow.text()
        place.model.push(say("heron"))
        crow.prompt(session, "which word?")
        assert any("the word is heron" in text for text in texts(place.model.requests[1], "user"))
        crow.request("session/delete", {"sessionId": session})
        assert crow.request("session/list", {})["sessions"] == []


def test_what_the_user_said_is_there_before_the_model_answers(tmp_path: Path) -> None:
    with Workspace(tmp_path) as place:
        place.model.push(call("read", path="not-there.txt"), say("never mind"))
        crow = place.start()
        session = crow.new_session()
        request = crow.start_prompt(session, "look")
        place.model.wait(1)
        with sqlite3.connect(place.home / "crow.db") as db:
            events = [row[0] for row in db.execute("SELECT event FROM python_events ORDER BY seq")]
        assert '"look"' in events[0]
        crow.wait(request)
        crow.kill()  # Whatever the end: finished turns are there.
        crow = place.start()
        crow.request("session/load", {"sessionId": session, "cwd": str(place.project), "mcpServers": []})
        assert "never mind" in crow.text()


def test_it_takes_the_place_of_the_built_in_store(tmp_path: Path) -> None:
    with Workspace(tmp_path) as place:
        place.model.push(say("hello"))
        crow = place.start()
        crow.prompt(crow.new_session(), "hi")
        assert crow.close() == 0
        with sqlite3.connect(place.home / "crow.db") as db:
            tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert tables == {"python_sessions", "python_events"}
