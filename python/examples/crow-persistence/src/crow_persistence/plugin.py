"""The plugin: a queue of events, flushed when it is long, when a turn is over and when the agent goes down."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from crow_acp import AcpAgent, Session, hookimpl

SCHEMA = """
CREATE TABLE IF NOT EXISTS python_sessions (
    id TEXT PRIMARY KEY, cwd TEXT NOT NULL, title TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS python_events (
    session_id TEXT NOT NULL, seq INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (session_id, seq)
);
"""

#: So many events wait at most.
QUEUE = 50


class SQLitePersistence:
    """Keeps sessions in `db_path`, which is made when it is first needed. Takes the place of the built-in store."""

    def __init__(self, db_path: str = "~/.crow/crow.db") -> None:
        home = os.environ.get("CROW_HOME")
        if home and db_path.startswith("~/.crow/"):
            db_path = str(Path(home, db_path.removeprefix("~/.crow/")))
        self.db_path = Path(db_path).expanduser()
        self._queue: list[tuple[str, int, str]] = []
        self._connection: sqlite3.Connection | None = None

    @hookimpl
    def on_session_start(self, session: Session) -> None:
        """A session begins: from now on it is listed."""
        now = int(time.time() * 1000)
        with self._db() as db:
            values = (session.session_id, session.cwd, now, now)
            db.execute("INSERT OR IGNORE INTO python_sessions VALUES (?, ?, NULL, ?, ?)", values)

    @hookimpl
    async def record_event(self, session: Session, event: dict[str, Any]) -> None:
        """The log: everything that a replay needs, event by event."""
        self._queue.append((session.session_id, event["seq"], json.dumps(event)))
        # What the user said is kept before the model is asked.
        if event["type"] == "user" or len(self._queue) >= QUEUE:
            await self._flush()

    @hookimpl
    async def after_turn(self, agent: AcpAgent, session: Session) -> None:
        """Saves what the turn came to."""
        await self._flush()
        with self._db() as db:
            values = (session.title, int(time.time() * 1000), session.session_id)
            db.execute("UPDATE python_sessions SET title = ?, updated_at = ? WHERE id = ?", values)

    @hookimpl
    async def on_shutdown(self, agent: AcpAgent) -> None:
        """Flushes the remaining events."""
        await self._flush()
        if self._connection:
            self._connection.close()

    @hookimpl
    async def load_session(self, session_id: str) -> dict[str, Any] | None:
        """A session with its whole log; `None` leaves it to others."""
        await self._flush()
        row = self._db().execute("SELECT * FROM python_sessions WHERE id = ?", (session_id,)).fetchone()
        if row is None:
            return None
        query = "SELECT event FROM python_events WHERE session_id = ? ORDER BY seq"
        events = [json.loads(event) for (event,) in self._db().execute(query, (session_id,))]
        return {"summary": _summary(row), "events": events}

    @hookimpl
    def list_sessions(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        """The newest sessions first, page by page."""
        at, last = query["before"] or (1 << 62, "")
        rows = self._db().execute(
            "SELECT * FROM python_sessions WHERE (updated_at, id) < (?, ?) AND (?3 IS NULL OR cwd = ?3)"
            " ORDER BY updated_at DESC, id DESC LIMIT ?4",
            (at, last, query["cwd"], query["limit"]),
        )
        return [_summary(row) for row in rows]

    @hookimpl
    def delete_session(self, session_id: str) -> None:
        """Forgets a session."""
        self._queue = [entry for entry in self._queue if entry[0] != session_id]
        with self._db() as db:
            db.execute("DELETE FROM python_events WHERE session_id = ?", (session_id,))
            db.execute("DELETE FROM python_sessions WHERE id = ?", (session_id,))

    async def _flush(self) -> None:
        if not self._queue:
            return
        with self._db() as db:
            # A partial answer has the number of the one that replaces it.
            db.executemany("INSERT OR REPLACE INTO python_events VALUES (?, ?, ?)", self._queue)
        self._queue.clear()

    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            self.db_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.db_path.touch(mode=0o600)
            self._connection = sqlite3.connect(self.db_path, timeout=5)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.executescript(SCHEMA)
        return self._connection


def _summary(row: tuple[Any, ...]) -> dict[str, Any]:
    session_id, cwd, title, created_at, updated_at = row
    return {
        "id": session_id,
        "cwd": cwd,
        "title": title,
        "model": None,
        "created_at": created_at,
        "updated_at": updated_at,
        "parent": None,
    }
