"""JSON Web Signatures (RFC 7515) taken apart: compact form, and JSON with one signature.

1. Nothing is believed here: the parts are as the sender wrote them, until the signature was checked
   over exactly the bytes that came.
2. The algorithm is fixed by the configured key, never by the message; `crit` and detached or
   unencoded payloads are refused, because what they change would change the meaning.
3. An unprotected header is refused: nobody signed it.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgectl.contract.refusal import RefusalCode, malformed, refused
from edgectl.contract.wire_json import read_object
from edgectl.errors import Refused
from edgectl.model.base64url import bytes_of

SIGNATURE_BYTES: Final = 64
"""Of Ed25519, and of P-256 as r and s side by side (RFC 8037 3.1, RFC 7518 3.4)."""

_HEADER_BYTES: Final = 2048
_GROWTH: Final = 2
_COMPACT: Final = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Jws:
    """`signed`: the bytes that the signature is over. `key_id`: the `kid` of the header, if any."""

    algorithm: str
    key_id: str | None
    payload: bytes
    signed: bytes
    signature: bytes


class Claims(BaseModel):
    """What a signature says beside the command or event itself (RFC 7519). Times in s of UTC."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)

    iss: Annotated[str, Field(min_length=1, max_length=128)]
    aud: (
        Annotated[str, Field(min_length=1, max_length=128)]
        | Annotated[list[Annotated[str, Field(max_length=128)]], Field(max_length=64)]
    )
    nbf: Annotated[float, Field(ge=0, le=1e11)]
    exp: Annotated[float, Field(ge=0, le=1e11)]
    seq: Annotated[int, Field(ge=0, lt=2**63)] | None = None

    def is_for(self, site: str) -> bool:
        """Whether the site is among those that it is for."""
        return self.aud == site if isinstance(self.aud, str) else site in self.aud


def read_claims(body: dict[str, object], *, what: str) -> Claims:
    """Read the claims or raise `Refused` with every wrong one named."""
    try:
        return Claims.model_validate(body)
    except ValidationError as error:
        raise malformed(error, what=f"the claims of {what}") from None


def read_jws(message: bytes, *, max_bytes: int, what: str) -> Jws | None:
    """Take a message apart; None: it is no JWS. Raises `Refused` for a broken one."""
    text = message.strip()
    if _COMPACT.fullmatch(text):
        _check_size(message, max_bytes=max_bytes, what=what)
        header, payload, signature = text.decode("ascii").split(".")
        return _jws(header, payload, signature, what=what)
    if b'"signature' not in message or b'"payload"' not in message:
        return None
    _check_size(message, max_bytes=max_bytes, what=what)
    try:
        body = read_object(message, max_bytes=len(message), what=what)
    except Refused:
        return None
    if "payload" not in body or not ("signature" in body or "signatures" in body):
        return None
    one: object = body
    if "signatures" in body:
        several = body["signatures"]
        if not isinstance(several, list) or len(several) != 1 or "signature" in body:
            raise _malformed(what, "has not exactly one signature")
        one = several[0]
    if not isinstance(one, dict) or "header" in one or "header" in body:
        raise _malformed(what, "has a header that is not signed")
    parts = (one.get("protected"), body["payload"], one.get("signature"))
    header, payload, signature = (part if isinstance(part, str) else "?" for part in parts)
    return _jws(header, payload, signature, what=what)


def _jws(header: str, payload: str, signature: str, *, what: str) -> Jws:
    try:
        raw_header, raw_payload, raw_signature = map(bytes_of, (header, payload, signature))
    except ValueError as fault:
        raise _malformed(what, str(fault)) from None
    fields = read_object(raw_header, max_bytes=_HEADER_BYTES, what=f"the header of {what}")
    algorithm, key_id = fields.get("alg"), fields.get("kid")
    if not isinstance(algorithm, str) or not isinstance(key_id, str | None):
        raise _malformed(what, "has a header without alg, or with a kid that is no text")
    if "crit" in fields or "b64" in fields:
        raise _malformed(what, "asks for an extension in crit or b64 that is not known here")
    if not raw_payload:
        raise _malformed(what, "has no payload")
    return Jws(
        algorithm=algorithm,
        key_id=key_id,
        payload=raw_payload,
        signed=f"{header}.{payload}".encode("ascii"),
        signature=raw_signature,
    )


def _check_size(message: bytes, *, max_bytes: int, what: str) -> None:
    if len(message) > _GROWTH * max_bytes:
        raise refused(
            RefusalCode.TOO_LARGE,
            f"{what} has {len(message)} bytes, at most {_GROWTH * max_bytes} are taken",
            "send less in one message",
        )


def _malformed(what: str, fault: str) -> Refused:
    return refused(
        RefusalCode.MALFORMED,
        f"{what} is a JWS that {fault}",
        "send it in the compact form, signed with EdDSA or ES256, with alg and kid in its header",
    )
