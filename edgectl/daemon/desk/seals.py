"""Opens what came signed: whose it is, whether it is for us, now, and unchanged.

1. The issuer is found by the claim `iss`, its key by `kid`; only then does anything else count, and
   the signature is checked before any other claim is believed or answered for.
2. `aud`, `nbf` and `exp` are required. Without a trusted clock the times cannot be checked; then
   the desks take only what tightens.
"""

from collections.abc import Iterable
from typing import Final

from edgectl.clock import Instant
from edgectl.contract.envelope import rfc3339
from edgectl.contract.jws import SIGNATURE_BYTES, Claims, Jws, read_claims, read_jws
from edgectl.contract.refusal import RefusalCode, refused
from edgectl.contract.wire_json import read_object
from edgectl.errors import Refused
from edgectl.model.issuer import Issuer, IssuerKey, Seal, SignatureCheck

SKEW_S: Final = 30.0
"""How far the issuer's clock may be ahead."""


class Seals:
    """Knows the issuers of one site. `check` does the mathematics; None: there are no issuers."""

    def __init__(
        self, *, site: str, issuers: Iterable[Issuer] = (), check: SignatureCheck | None = None
    ) -> None:
        self._site = site
        self._issuers = {issuer.id: issuer for issuer in issuers}
        self._check = check

    def issuer(self, name: str) -> Issuer | None:
        """An issuer of this site by its id."""
        return self._issuers.get(name)

    def open(
        self, message: bytes, *, max_bytes: int, what: str, now: Instant
    ) -> tuple[Seal | None, bytes]:
        """The seal and what is under it; without a seal the message as it is. May refuse."""
        jws = read_jws(message, max_bytes=max_bytes, what=what)
        if jws is None:
            return None, message
        body = read_object(jws.payload, max_bytes=max_bytes, what=what)
        claims = read_claims(body, what=what)
        issuer = self._issuers.get(claims.iss)
        if issuer is None or self._check is None:
            raise refused(
                RefusalCode.UNKNOWN_ISSUER,
                f"iss: {claims.iss} is no issuer of this site",
                "have it added to `commands.issuers` of the site file, with its public key",
            )
        key = _key(jws, issuer)
        if len(jws.signature) != SIGNATURE_BYTES or not self._check.good(
            key, jws.signed, jws.signature
        ):
            raise _bad_signature(f"the signature is not by key {key.id} of {issuer.id}")
        self._check_claims(claims, now)
        return Seal(issuer, key.id, expires_utc_s=claims.exp, seq=claims.seq), jws.payload

    def _check_claims(self, claims: Claims, now: Instant) -> None:
        if not claims.is_for(self._site):
            raise refused(
                RefusalCode.WRONG_AUDIENCE,
                f"aud: it is for {str(claims.aud)[:128]}, this is {self._site}",
                "sign it for this site's id",
            )
        if claims.exp <= claims.nbf:
            raise refused(
                RefusalCode.MALFORMED, "exp: it is not after nbf", "send a time of validity"
            )
        if not now.utc_trusted:
            return
        if now.utc_s >= claims.exp:
            raise refused(
                RefusalCode.EXPIRED,
                f"exp: {rfc3339(claims.exp)} is past, it is {rfc3339(now.utc_s)}",
                "sign it anew; if it is new, set the issuer's clock",
            )
        if now.utc_s < claims.nbf - SKEW_S:
            raise refused(
                RefusalCode.NOT_YET_VALID,
                f"nbf: {rfc3339(claims.nbf)} is to come, it is {rfc3339(now.utc_s)}",
                "send it later; if it should be valid now, set the issuer's clock",
            )


def _key(jws: Jws, issuer: Issuer) -> IssuerKey:
    """The one key that is meant, of the algorithm that the header says."""
    if jws.key_id is None and len(issuer.keys) > 1:
        raise refused(
            RefusalCode.BAD_SIGNATURE,
            f"there is no kid, and {issuer.id} has {len(issuer.keys)} keys here",
            "name the key in the header",
        )
    for key in issuer.keys:
        if jws.key_id in (None, key.id):
            if key.algorithm.value != jws.algorithm:
                raise _bad_signature(
                    f"alg: {jws.algorithm[:40]} is not {key.algorithm.value}, which key {key.id} "
                    "is for"
                )
            return key
    raise _bad_signature(f"kid: {issuer.id} has no key {str(jws.key_id)[:128]} here")


def _bad_signature(message: str) -> Refused:
    return refused(
        RefusalCode.BAD_SIGNATURE,
        message,
        "sign it with a key that the site file names for this issuer",
    )
