"""Answers of the local API that serve the technician's work: events, devices, registers."""

from typing import Literal

from pydantic import Field

from edgectl.contract.envelope import Timestamp
from edgectl.contract.local import Message
from edgectl.contract.vocabulary import EventCode, Severity


class NumberedEvent(Message):
    """An event as it is published, with its number in this daemon's life."""

    number: int
    code: EventCode
    severity: Severity
    id: str
    t: Timestamp
    text: str
    data: dict[str, float | int | str] = Field(default_factory=dict)


class EventsAnswer(Message):
    """The answer of `events`, oldest first. `at`: when it was given.

    `last`: the number of the newest event of all; one below what was asked for means that the
    daemon was started anew. `missed`: events that were gone before they were asked for.
    """

    events: list[NumberedEvent]
    at: Timestamp
    last: int
    missed: int = 0


class DeviceReport(Message):
    """A meter or an EVSE on its link; `age_s` since its last good answer, the rest of its unit.

    `quantities`: what `read` takes, in the order of the profile; `writable`: what `write` takes.
    """

    id: str
    kind: str
    profile: str
    title: str
    unit: int
    connector: int | None = None
    node: str
    age_s: float | None = None
    requests: int
    answers: int
    misses: int
    exceptions: int
    round_trip_ms: float | None = None
    last_error: str | None = None
    quantities: list[str]
    writable: list[str]


class LinkReport(Message):
    """One line and everything on it; `since_s`: for how long it is in its present state."""

    id: str
    kind: str
    where: str
    connected: bool
    since_s: float
    connects: int
    failed_connects: int
    last_error: str | None = None
    devices: list[DeviceReport]


class DevicesAnswer(Message):
    """The answer of `devices`."""

    links: list[LinkReport]


class RegisterAnswer(Message):
    """What a register said: `words` as they came, and what they mean.

    `value`: a number in `unit` or a word; `bad`: why there is none. `guarded`: why a write needs
    to be forced. `writable`: whether the profile, or the register's kind, lets it be written.
    """

    device: str
    link: str
    name: str
    kind: str
    unit_id: int
    address: int
    words: list[int]
    value: float | str | None = None
    bad: str | None = None
    unit: str | None = None
    means: str | None = None
    writable: bool = False
    guarded: str | None = None


class WriteAnswer(Message):
    """What became of a write; `after`: what the register says now, where it can be read."""

    device: str
    name: str
    address: int
    words: list[int]
    before: RegisterAnswer | None = None
    after: RegisterAnswer | None = None
    note: str | None = None


class FindingReport(Message):
    """One thing wrong with the site file, as `check` says it."""

    file: str
    line: int
    path: str
    code: str
    message: str
    remedy: str


class ReloadAnswer(Message):
    """What became of reading the site file anew.

    `config_hash`: of the file that is in force, or will be in a few seconds (`taken`).
    """

    result: Literal["taken", "unchanged", "refused"]
    config_hash: str
    message: str
    errors: list[FindingReport]
