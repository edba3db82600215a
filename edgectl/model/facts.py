"""The port for facts about the past: JSON documents with a time, found again by kind and time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edgectl.model.store import Document


@dataclass(frozen=True, slots=True)
class Fact:
    """One document. `from_s`, `until_s`: the time that it is about (UTC)."""

    kind: str
    key: str
    from_s: float
    until_s: float
    doc: Document


class FactStore(Protocol):
    """A change is durable, whole, when its method returns; `StorageFailed`: nothing changed."""

    async def change(self, put: Sequence[Fact], forget: Sequence[tuple[str, str]] = ()) -> None:
        """Keep facts, each in place of one with its kind and key, and forget others."""

    async def get(self, kind: str, key: str) -> Fact | None:
        """One fact, None where there is none."""

    async def between(self, kind: str, from_s: float, until_s: float) -> tuple[Fact, ...]:
        """Facts of a kind that touch a time (its end not included), by their beginning."""

    async def prune(self, kind: str, before_s: float) -> None:
        """Forget what was over before a moment."""

    async def close(self) -> None:
        """Let go of what the store holds open."""
