"""Checks signatures with `cryptography`, which is loaded only where a site has issuers."""

from collections.abc import Iterable, Mapping
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from edgectl.errors import Refused
from edgectl.model.issuer import Algorithm, Issuer, IssuerKey

_HALF: Final = 32


class CryptographyCheck:
    """`edgectl.model.issuer.SignatureCheck`. Raises `Refused` for a key that is no point."""

    def __init__(self, issuers: Iterable[Issuer]) -> None:
        self._keys: Mapping[IssuerKey, Ed25519PublicKey | EllipticCurvePublicKey] = {
            key: _loaded(issuer, key) for issuer in issuers for key in issuer.keys
        }

    def good(self, key: IssuerKey, message: bytes, signature: bytes) -> bool:
        """Whether the signature is of this message by this key; never raises."""
        loaded = self._keys.get(key)
        try:
            if isinstance(loaded, Ed25519PublicKey):
                loaded.verify(signature, message)
            elif loaded is not None:
                r, s = signature[:_HALF], signature[_HALF:]
                pair = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
                loaded.verify(pair, message, ECDSA(SHA256()))
        except (InvalidSignature, ValueError):
            return False
        return loaded is not None


def _loaded(issuer: Issuer, key: IssuerKey) -> Ed25519PublicKey | EllipticCurvePublicKey:
    try:
        if key.algorithm is Algorithm.EDDSA:
            return Ed25519PublicKey.from_public_bytes(key.x)
        numbers = EllipticCurvePublicNumbers(
            int.from_bytes(key.x, "big"), int.from_bytes(key.y, "big"), SECP256R1()
        )
        return numbers.public_key()
    except ValueError:
        raise Refused(
            code="bad_key",
            message=f"key {key.id} of issuer {issuer.id} is no point of its curve",
            remedy="get the issuer's public key again",
        ) from None
