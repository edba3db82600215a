"""Everything that can go wrong, as one small tree.

EdgectlError                 caught by name at the edges; always says what and what to do
├── BadInput                 a site file, profile, problem or payload; carries every finding at once
├── Refused                  somebody asked for what the rules do not give; carries a code
├── Unreachable              the local daemon or the broker cannot be reached
└── StorageFailed            the disk refused to keep what must outlive a restart
InvariantBroken              a fault of ours: never caught but by the tick, which goes to the safe
decision

Devices raise nothing: a request to one yields an answer or a typed miss (`edgectl.model.modbus`).
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with an input, said so that its author can mend it.

    `line` counts from 1; 0 where the input has no lines. `path` is the way to the value, such as
    `evses[3].max_a`; `code` is a stable word for programs.
    """

    file: str
    line: int
    path: str
    code: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.said}; {self.remedy}"

    @property
    def said(self) -> str:
        """Where and what, without the remedy."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        path = f" {self.path}:" if self.path else ""
        return f"{where}:{path} {self.message}"


class EdgectlError(Exception):
    """Base of every fault of the world that edgectl reports."""


class BadInput(EdgectlError):
    """An input cannot be used; `findings` names every reason at once."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = tuple(findings)


class Refused(EdgectlError):
    """A request is understood and not granted; `code` is one of the contract's refusal codes."""

    def __init__(self, *, code: str, message: str, remedy: str) -> None:
        super().__init__(f"{message}; {remedy}")
        self.code = code
        self.message = message
        self.remedy = remedy


class Unreachable(EdgectlError):
    """The other side cannot be reached now; `remedy` says what to look at."""

    def __init__(self, *, message: str, remedy: str) -> None:
        super().__init__(f"{message}; {remedy}")
        self.message = message
        self.remedy = remedy


class StorageFailed(EdgectlError):
    """Something that must outlive a restart could not be written."""


class InvariantBroken(Exception):
    """The program contradicts itself. The tick answers with the safe decision and a restart."""


def invariant(condition: bool, message: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Raise `InvariantBroken` unless `condition` holds; never compiled away, unlike `assert`."""
    if not condition:
        raise InvariantBroken(message)
