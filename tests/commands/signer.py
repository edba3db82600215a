"""Signs as an issuer does, from RFC 7515, 7518 and 8037; shares nothing with what checks it."""

import base64
import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edgectl.adapters.signatures import CryptographyCheck
from edgectl.daemon.desk.seals import Seals
from edgectl.model.ceiling import Rank
from edgectl.model.issuer import Algorithm, Issuer, IssuerKey
from edgectl.units import NodeId, ProgramId


def b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


@cache
def _ed25519(number: int) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big"))


@cache
def _p256(number: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(number, ec.SECP256R1())


@dataclass(frozen=True)
class Signer:
    """One private key, made from a number so that tests repeat."""

    kid: str
    algorithm: str = "EdDSA"
    number: int = 1

    @property
    def _ed(self) -> ed25519.Ed25519PrivateKey:
        return _ed25519(self.number)

    @property
    def _ec(self) -> ec.EllipticCurvePrivateKey:
        return _p256(self.number)

    def jwk(self) -> dict[str, str]:
        if self.algorithm == "EdDSA":
            raw = self._ed.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            return {"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": b64(raw)}
        point = self._ec.public_key().public_numbers()
        x, y = (b64(n.to_bytes(32, "big")) for n in (point.x, point.y))
        return {"kty": "EC", "crv": "P-256", "kid": self.kid, "x": x, "y": y}

    def key(self) -> IssuerKey:
        jwk = self.jwk()
        x, y = (base64.urlsafe_b64decode(jwk.get(part, "") + "==") for part in "xy")
        return IssuerKey(self.kid, Algorithm(self.algorithm), x=x, y=y)

    def signature(self, message: bytes) -> bytes:
        if self.algorithm == "EdDSA":
            return self._ed.sign(message)
        r, s = decode_dss_signature(self._ec.sign(message, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def sign(self, body: Any, **header: Any) -> bytes:
        """The compact form; `header` replaces or adds fields, None takes one out."""
        fields = {"alg": self.algorithm, "kid": self.kid, **header}
        head = b64(json.dumps({k: v for k, v in fields.items() if v is not None}).encode())
        content = b64(body if isinstance(body, bytes) else json.dumps(body).encode())
        signed = f"{head}.{content}".encode()
        return signed + b"." + b64(self.signature(signed)).encode()

    def sign_json(self, body: Any, *, general: bool = False) -> bytes:
        """The JSON form, flattened or general."""
        head, content, signature = self.sign(body).decode().split(".")
        one = {"protected": head, "signature": signature}
        made = {"payload": content} | ({"signatures": [one]} if general else one)
        return json.dumps(made).encode()


FIRST = Signer("k1")
SECOND = Signer("k2", "ES256", number=7)
OTHER = Signer("k1", number=99)
"""Says that it were k1, and is not."""


@dataclass(frozen=True)
class Trusted:
    """An issuer and those who sign for it."""

    id: str = "utility-x"
    rank: Rank = Rank.UTILITY_MANDATORY
    may: tuple[str, ...] = ("limit", "pause", "resume", "target", "release")
    nodes: tuple[str, ...] | None = None
    min_limit_a: float | None = None
    programs: tuple[str, ...] = ("prog-1", "prog-2", "prog-signed")
    signers: tuple[Signer, ...] = field(default=(FIRST, SECOND))

    def issuer(self) -> Issuer:
        nodes = self.nodes
        return Issuer(
            id=self.id,
            rank=self.rank,
            may=frozenset(self.may),
            keys=tuple(signer.key() for signer in self.signers),
            nodes=None if nodes is None else frozenset(NodeId(name) for name in nodes),
            min_limit_a=self.min_limit_a,
            programs=frozenset(ProgramId(name) for name in self.programs),
        )


def seals(*trusted: Trusted, site: str = "depot-north") -> Seals:
    issuers = [one.issuer() for one in trusted]
    return Seals(site=site, issuers=issuers, check=CryptographyCheck(issuers))


def claims(utc_s: float, **changes: Any) -> dict[str, Any]:
    """Valid from a minute ago for ten minutes; a change to None takes a claim out."""
    made = {
        "iss": "utility-x",
        "aud": "depot-north",
        "nbf": utc_s - 60,
        "exp": utc_s + 600,
        "seq": 1,
        **changes,
    }
    return {key: value for key, value in made.items() if value is not None}
