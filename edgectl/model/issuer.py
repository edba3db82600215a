"""Who may sign commands and events, and with which keys."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from edgectl.model.ceiling import Rank
from edgectl.units import NodeId, ProgramId


class Algorithm(StrEnum):
    """The signatures that are taken, each bound to its kind of key (RFC 8037, RFC 7518)."""

    EDDSA = "EdDSA"
    ES256 = "ES256"


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """A public key: `x` of Ed25519, or `x` and `y` of P-256, 32 bytes each."""

    id: str
    algorithm: Algorithm
    x: bytes
    y: bytes = b""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who may sign what. `nodes` None: everywhere. `programs`: whose events it may sign.

    `min_limit_a`: the lowest limit that it may set, per phase; None: any.
    """

    id: str
    rank: Rank
    may: frozenset[str]
    keys: tuple[IssuerKey, ...]
    nodes: frozenset[NodeId] | None = None
    min_limit_a: float | None = None
    programs: frozenset[ProgramId] = frozenset()


@dataclass(frozen=True, slots=True)
class Seal:
    """A signature that was good: whose, until when, and its number in the issuer's sequence."""

    issuer: Issuer
    key_id: str
    expires_utc_s: float
    seq: int | None = None


class SignatureCheck(Protocol):
    """Does the mathematics."""

    def good(self, key: IssuerKey, message: bytes, signature: bytes) -> bool:
        """Whether the signature is of this message by this key; never raises."""
