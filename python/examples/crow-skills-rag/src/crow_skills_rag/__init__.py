"""Notes that are found when they are needed."""

from crow_skills_rag.plugin import RAGHook
from crow_skills_rag.vectors import VectorDb

__all__ = ["RAGHook", "VectorDb"]
