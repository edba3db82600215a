"""Snapshot, state and decision as JSON without loss: floats come back bit for bit, NaN too."""

import json
from typing import Final, Generic, TypeVar

from pydantic import TypeAdapter

from edgectl.clock import Instant
from edgectl.model.decision import Decision
from edgectl.model.snapshot import Snapshot
from edgectl.model.state import State
from edgectl.model.store import Document

T = TypeVar("T")


class Recorded(Generic[T]):
    """How values of one type are written and read."""

    def __init__(self, kind: type[T]) -> None:
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)

    def dump(self, value: T) -> str:
        """One line of JSON (with `NaN` and `Infinity` as Python's json module has them)."""
        return json.dumps(self._adapter.dump_python(value, mode="json"), separators=(",", ":"))

    def load(self, text: str) -> T:
        """The value that `dump` was given; `ValueError` for anything else."""
        return self._adapter.validate_python(json.loads(text))

    def document(self, value: T) -> Document:
        """The value as a JSON object."""
        doc: Document = self._adapter.dump_python(value, mode="json")
        return doc

    def of_document(self, doc: Document) -> T:
        """The value that `document` was given; `ValueError` for anything else."""
        return self._adapter.validate_python(doc)


INSTANT: Final = Recorded(Instant)
SNAPSHOT: Final = Recorded(Snapshot)
STATE: Final = Recorded(State)
DECISION: Final = Recorded(Decision)
