"""`crow-acp plugin new`: a package that installs, fires and passes its test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def new(cwd: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "crow_acp", "plugin", "new", *args]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)


def test_the_new_package_passes_its_own_test(tmp_path: Path) -> None:
    made = new(tmp_path, "word-count")
    assert made.returncode == 0, made.stderr
    package = tmp_path / "crow-word-count"
    assert "src/crow_word_count/plugin.py" in made.stdout
    # What an installer leaves behind, without the network that its build backend would need.
    metadata = package / "src" / "crow_word_count-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: crow-word-count\nVersion: 0.1.0\n")
    entry = (package / "pyproject.toml").read_text().split('"crow-acp"]\n')[1].split("\n\n")[0]
    (metadata / "entry_points.txt").write_text(f"[crow-acp]\n{entry}\n".replace('"', ""))
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=package,
        env={**os.environ, "PYTHONPATH": str(package / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "1 passed" in tested.stdout


@pytest.mark.parametrize("name", ["Word", "word_count", "-x", "../x", "a--b", ""])
def test_a_bad_name_is_told(tmp_path: Path, name: str) -> None:
    made = new(tmp_path, "--", name)
    assert made.returncode != 0
    assert "small letters" in made.stderr
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("mine")
    made = new(tmp_path, "word-count", "--path", "there")
    assert made.returncode == 1 and "--path" in made.stderr
    assert os.listdir(tmp_path / "there") == ["file"]


def test_help_teaches(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "crow_acp", "plugin", "--help"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert told.returncode == 0
    assert "uv add" in told.stdout and "new" in told.stdout
