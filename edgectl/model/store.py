"""The port for what must outlive a restart: small JSON documents, by kind and key."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

Document: TypeAlias = dict[str, object]
"""Only what JSON can say without loss: text, finite numbers, booleans, None, lists, objects."""


Entry: TypeAlias = tuple[str, str, Document]
"""A document with its kind and key."""


Place: TypeAlias = tuple[str, str]
"""Kind and key of a document."""


class Store(Protocol):
    """A change is durable when its method returns; `StorageFailed` means that nothing changed."""

    async def put(self, kind: str, key: str, doc: Document) -> None:
        """Keep `doc`, in place of what was there."""

    async def put_all(self, entries: Sequence[Entry], *, gone: Sequence[Place] = ()) -> None:
        """Keep them all and forget what is `gone`, or neither; `gone` may be absent anyway."""

    async def delete(self, kind: str, key: str) -> None:
        """Forget a document; one that is not there is no fault."""

    async def load_all(self, kind: str) -> dict[str, Document]:
        """Every document of a kind by key, in the order of the keys."""

    async def close(self) -> None:
        """Let go of what the store holds open."""
