"""The scripted model, by the name that these tests know it by."""

from crow_acp.testing import ModelServer, Reply, call, say, texts

__all__ = ["ModelServer", "Reply", "call", "say", "texts"]
