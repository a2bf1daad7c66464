from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ModelServer, Place


@pytest.fixture
def model() -> Iterator[ModelServer]:
    server = ModelServer()
    yield server
    server.close()


@pytest.fixture
def place(tmp_path: Path, model: ModelServer) -> Iterator[Place]:
    place = Place(tmp_path, model)
    yield place
    place.close()
