"""A small vector search: words hashed into a vector, weighted by how rare they are, compared by their angle."""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

#: Words fall into so many places of a vector.
DIMENSIONS = 1 << 16

#: A chunk is a paragraph or a few: about so many characters.
CHUNK = 800

Vector = dict[int, float]


@dataclass(frozen=True)
class Chunk:
    """A piece of a file."""

    path: Path
    line: int
    text: str


class VectorDb:
    """Chunks of text files and their vectors, in memory. A file is read again when it has changed."""

    def __init__(self, root: Path, patterns: tuple[str, ...] = ("**/*.md", "**/*.txt")) -> None:
        self.root = root
        self.patterns = patterns
        self._files: dict[Path, tuple[float, list[Chunk]]] = {}
        self._vectors: list[tuple[Chunk, Vector]] = []
        self._rarity: dict[int, float] = {}

    def search(self, text: str, top_k: int = 5, at_least: float = 0.1) -> list[tuple[float, Chunk]]:
        """The chunks that are nearest to `text`, the nearest first, each with the cosine of the angle between them."""
        self.refresh()
        wanted = self._vector(text)
        scored = [(_cosine(wanted, vector), chunk) for chunk, vector in self._vectors]
        found = [(score, chunk) for score, chunk in scored if score >= at_least]
        return sorted(found, key=lambda pair: -pair[0])[:top_k]

    def refresh(self) -> None:
        """Looks which files have come, gone or changed."""
        seen = {path for pattern in self.patterns for path in self.root.glob(pattern) if path.is_file()}
        changed = self._files.keys() - seen
        for path in changed:
            del self._files[path]
        for path in seen:
            stamp = path.stat().st_mtime
            if path not in self._files or self._files[path][0] != stamp:
                self._files[path] = (stamp, _chunks(path))
                changed = changed | {path}
        if changed:
            self._index()

    def _index(self) -> None:
        chunks = [chunk for _, chunks in self._files.values() for chunk in chunks]
        counts = Counter(place for chunk in chunks for place in set(_places(chunk.text)))
        self._rarity = {place: math.log(1 + len(chunks) / count) for place, count in counts.items()}
        self._vectors = [(chunk, self._vector(chunk.text)) for chunk in chunks]

    def _vector(self, text: str) -> Vector:
        counts = Counter(_places(text))
        vector = {place: (1 + math.log(count)) * self._rarity.get(place, 0.0) for place, count in counts.items()}
        length = math.sqrt(sum(weight * weight for weight in vector.values()))
        return {place: weight / length for place, weight in vector.items() if weight} if length else {}


def _places(text: str) -> list[int]:
    return [zlib.crc32(word.encode()) % DIMENSIONS for word in re.findall(r"\w{2,}", text.lower())]


def _cosine(one: Vector, other: Vector) -> float:
    if len(one) > len(other):
        one, other = other, one
    return sum(weight * other.get(place, 0.0) for place, weight in one.items())


def _chunks(path: Path) -> list[Chunk]:
    chunks: list[Chunk] = []
    lines: list[str] = []
    start = 1
    text = path.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if not lines:
            start = number
        lines.append(line)
        size = sum(map(len, lines))
        if (not line.strip() and size >= CHUNK) or size >= 2 * CHUNK:
            chunks.append(Chunk(path, start, "\n".join(lines).strip()))
            lines = []
    if any(line.strip() for line in lines):
        chunks.append(Chunk(path, start, "\n".join(lines).strip()))
    return chunks
