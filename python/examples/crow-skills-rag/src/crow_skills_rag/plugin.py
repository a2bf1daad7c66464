"""The plugin: looks up what the user asks about, and puts what it found beside the question."""

from __future__ import annotations

import os
from pathlib import Path

from crow_acp import AcpAgent, Session, hookimpl

from crow_skills_rag.vectors import VectorDb


class RAGHook:
    """Searches the text files below `notes` (`~/.crow/notes`) whenever the user says something."""

    def __init__(self, notes: str | None = None) -> None:
        home = os.environ.get("CROW_HOME", "~/.crow")
        self.db = VectorDb(Path(notes or Path(home, "notes")).expanduser())

    @hookimpl(tryfirst=True)  # Before other hooks: they may want to see what was found.
    async def before_run(self, agent: AcpAgent, session: Session, user_input: str) -> None:
        """Puts what the notes say at the end of the user's turn."""
        told: set[str] = getattr(session, "notes_told", None) or set()
        for _, chunk in self.db.search(user_input, top_k=5):
            source = f"{chunk.path}:{chunk.line}"
            if source not in told:
                told.add(source)
                session.inject(source, chunk.text, "crow-skills-rag")
        session.notes_told = told
