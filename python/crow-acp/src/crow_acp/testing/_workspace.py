"""A place for an agent under test."""

from __future__ import annotations

import sys
from pathlib import Path

from crow_acp.testing._client import AcpClient, environment
from crow_acp.testing._model import ModelServer


class Workspace:
    """A configuration that names a scripted model, an empty project, and the agents started in it.

    A context manager: at its end the agents and the model are stopped.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        #: The directory that sessions work in.
        self.project = root / "project"
        self.project.mkdir()
        #: `CROW_HOME`.
        self.home = root / "crow-home"
        self.home.mkdir()
        self.model = ModelServer()
        self._agents: list[AcpClient] = []
        self.config("")

    def config(self, more: str) -> None:
        """Writes the configuration: the model, and `more` at its end (TOML)."""
        provider = f'[providers.test]\nprotocol = "openai"\nbase_url = "{self.model.base_url}"\napi_key = "test-key"\n'
        (self.home / "config.toml").write_text(f'model = "test/scripted"\n\n{provider}\n{more}', encoding="utf-8")

    def start(self, *args: str, **env: str) -> AcpClient:
        """Starts `crow-acp acp` with these further arguments and variables, and shakes hands."""
        command = [sys.executable, "-m", "crow_acp", *args, "acp"]
        client = AcpClient(command, self.project, environment(self.root, **env))
        self._agents.append(client)
        client.initialize()
        return client

    def close(self) -> None:
        """Stops everything."""
        for agent in self._agents:
            agent.kill()
        self.model.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
