"""A scripted model, a place of one's own, and agents that are started there."""

from __future__ import annotations

import subprocess
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


#: What every plugin of a test begins with.
PRELUDE = """
import asyncio, os
from crow_acp import *

def log(*words):
    with open(os.environ["OUT"], "a") as out:
        print(*words, file=out)
"""


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
        #: Where plugins are installed.
        self.packages = root / "packages"
        self.packages.mkdir()
        #: What plugins write, line by line: `log(..)`.
        self.out = root / "out"
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

    def plugin(self, name: str, source: str, entry: str = "Plugin") -> None:
        """Installs a plugin: a module of this source, and the metadata that an installer would write."""
        module = name.replace("-", "_") + "_plugin"
        (self.packages / f"{module}.py").write_text(PRELUDE + textwrap.dedent(source))
        metadata = self.packages / f"{module}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[other]\nx = y\n\n[crow-acp]\n{name} = {module}:{entry}\n")

    def variables(self) -> dict[str, str]:
        """Where programs find the plugins, and where those write to."""
        return {"PYTHONPATH": str(self.packages), "OUT": str(self.out)}

    def crow(self, *args: str) -> AcpClient:
        """Starts `crow-acp acp`."""
        return self.start([sys.executable, "-m", "crow_acp", "acp", *args], **self.variables())

    def command(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs `crow-acp` with these arguments to its end."""
        return subprocess.run(
            [sys.executable, "-m", "crow_acp", *args],
            env=environment(self.root, **self.variables()),
            cwd=self.project,
            capture_output=True,
            text=True,
            check=check,
            timeout=60,
        )

    def lines(self) -> list[str]:
        """What plugins wrote."""
        return self.out.read_text().splitlines() if self.out.exists() else []

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
