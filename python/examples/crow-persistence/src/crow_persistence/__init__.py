"""Sessions in a SQLite file."""

from crow_persistence.plugin import SQLitePersistence

__all__ = ["SQLitePersistence"]
