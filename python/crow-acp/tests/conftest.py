"""A scripted model, a place of one's own, and agents that are started there."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from acp_client import AcpClient, environment
from model_server import ModelServer


@pytest.fixture
def model() -> Iterator[ModelServer]:
    """The model."""
    server = ModelServer()
    yield server
    server.close()


class Place:
    """A configuration that names the model, a project, and the agents started in it."""

    def __init__(self, root: Path, model: ModelServer) -> None:
        self.root = root
        self.project = root / "project"
        self.project.mkdir()
        self.home = root / "crow-home"
        self.home.mkdir()
        self.model = model
        self.agents: list[AcpClient] = []
        self.config("")

    def config(self, more: str) -> None:
        """The configuration, with `more` at its end."""
        provider = f'[providers.test]\nprotocol = "openai"\nbase_url = "{self.model.base_url}"\napi_key = "test-key"\n'
        (self.home / "config.toml").write_text(f'model = "test/scripted"\n\n{provider}\n{more}')

    def start(self, command: list[str], **env: str) -> AcpClient:
        """Starts a program that speaks ACP."""
        client = AcpClient(command, self.project, environment(self.root, **env))
        self.agents.append(client)
        client.initialize()
        return client

    def run(self, source: str, **env: str) -> AcpClient:
        """Starts a Python program that speaks ACP."""
        program = self.root / f"program{len(self.agents)}.py"
        program.write_text(textwrap.dedent(source))
        return self.start([sys.executable, str(program)], **env)

    def close(self) -> None:
        """Ends whatever was started."""
        for agent in self.agents:
            agent.kill()


@pytest.fixture
def place(tmp_path: Path, model: ModelServer) -> Iterator[Place]:
    """The place."""
    place = Place(tmp_path, model)
    yield place
    place.close()
