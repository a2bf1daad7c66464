"""Plugins that are installed, and nothing else: with pip's ways and with uv's, in environments of their own.

`cargo xtask test` says where the wheel of crow-acp is and which uv to use.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from acp_client import AcpClient, environment
from conftest import Place
from model_server import ModelServer, call, say, texts

WHEEL = os.environ.get("CROW_WHEEL")
UV = os.environ.get("CROW_UV", "uv")
EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.skipif(WHEEL is None, reason="CROW_WHEEL does not say where the wheel is")


def uv(*args: str | Path, cwd: Path) -> None:
    """Runs uv."""
    done = subprocess.run([UV, *map(str, args)], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def wheel() -> Path:
    """The wheel of crow-acp."""
    return Path(str(WHEEL))


def weather_offered(place: Place, model: ModelServer, program: Path) -> bool:
    """Whether the model is offered the tool of crow-weather-tool, by the agent of an environment."""
    asked = len(model.requests)
    model.push(say("hello"))
    client = AcpClient([str(program), "acp"], place.project, environment(place.root))
    place.agents.append(client)
    client.initialize()
    client.prompt(client.new_session(), "hi")
    assert client.close() == 0
    return "weather" in [each["function"]["name"] for each in model.requests[asked]["tools"]]


def test_uv_pip_install_makes_it_fire_and_uninstall_makes_it_stop(
    place: Place, model: ModelServer, tmp_path: Path
) -> None:
    home = tmp_path / "environment"
    uv("venv", "--quiet", "--python", sys.executable, home, cwd=tmp_path)
    python, program = home / "bin" / "python", home / "bin" / "crow-acp"
    uv("pip", "install", "--quiet", "--python", python, wheel(), cwd=tmp_path)
    assert not weather_offered(place, model, program)
    uv("pip", "install", "--quiet", "--python", python, EXAMPLES / "crow-weather-tool", cwd=tmp_path)
    assert weather_offered(place, model, program)
    listed = subprocess.run([program, "plugins", "--json"], env=environment(place.root), capture_output=True, check=True)
    names = [plugin["name"] for plugin in json.loads(listed.stdout)["plugins"]]
    assert "weather" in names
    uv("pip", "uninstall", "--quiet", "--python", python, "crow-weather-tool", cwd=tmp_path)
    assert not weather_offered(place, model, program)


def test_uv_add_is_all_a_user_does(place: Place, model: ModelServer, tmp_path: Path) -> None:
    dist, project = tmp_path / "dist", tmp_path / "project of a user"
    uv("build", "--quiet", "--wheel", "--out-dir", dist, EXAMPLES / "crow-persistence", cwd=tmp_path)
    project.mkdir()
    uv("init", "--quiet", "--bare", "--name", "project", "--python", sys.executable, cwd=project)
    links: list[str | Path] = ["--find-links", wheel().parent, "--find-links", dist]
    uv("add", "--quiet", "--python", sys.executable, *links, "crow-persistence", cwd=project)
    model.push(call("read", path="x"), say("done"))
    program = project / ".venv" / "bin" / "crow-acp"
    client = AcpClient([str(program), "acp"], place.project, environment(place.root))
    place.agents.append(client)
    client.initialize()
    session = client.new_session()
    client.prompt(session, "hi")
    assert client.close() == 0
    # It is the store now: in the next process the session is listed by it.
    client = AcpClient([str(program), "acp"], place.project, environment(place.root))
    place.agents.append(client)
    client.initialize()
    assert [entry["sessionId"] for entry in client.request("session/list", {})["sessions"]] == [session]
    tables = subprocess.run(
        ["python3", "-c", "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('select name from sqlite_master').fetchall())", place.home / "crow.db"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "python_events" in tables
    assert texts(model.requests[1], "tool")
