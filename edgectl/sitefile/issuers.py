"""Issuers of signed commands and events, with their public keys from JWK files (RFC 7517).

1. A file holds one key or a set of keys: a new key is put beside the old one, and the old one taken
   out when nobody signs with it any more.
2. Ed25519 and P-256, public part only; a private key in such a file is refused, unrepeated.
3. A key without `kid` is named by its thumbprint (RFC 7638).
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

from edgectl.errors import Finding
from edgectl.model.base64url import bytes_of, text_of
from edgectl.model.ceiling import Rank
from edgectl.model.issuer import Algorithm, Issuer, IssuerKey
from edgectl.sitefile.draft import Draft
from edgectl.sitefile.entries.authority import IssuerEntry
from edgectl.sitefile.source import did_you_mean
from edgectl.sitefile.yaml_text import Where
from edgectl.units import NodeId, ProgramId

_FILE_BYTES: Final = 65_536
_HALF: Final = 32
_KEYS: Final = {("OKP", "Ed25519"): Algorithm.EDDSA, ("EC", "P-256"): Algorithm.ES256}


class _BadKey(Exception):
    """What is wrong with a key file, and what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def load_issuers(draft: Draft, *, folder: Path) -> tuple[tuple[Issuer, ...], list[Finding]]:
    """Read every issuer's keys; file names are relative to `folder`."""
    issuers: list[Issuer] = []
    findings: list[Finding] = []
    for position, entry in enumerate(draft.commands.issuers if draft.commands is not None else ()):
        where: Where = ("commands", "issuers", position)
        if entry.id in {issuer.id for issuer in issuers}:
            findings.append(
                draft.source.finding(
                    (*where, "id"),
                    code="duplicate_id",
                    message=f"{entry.id} is already the name of an issuer",
                    remedy="give one issuer all its keys and rights",
                )
            )
        findings.extend(_check_names(draft, where, entry))
        keys: list[IssuerKey] = []
        for number, name in enumerate(entry.keys):
            try:
                found = read_keys(folder / name)
            except _BadKey as fault:
                findings.append(_bad_key(draft, (*where, "keys", number), name, fault))
                continue
            twice = [key.id for key in found if key.id in {known.id for known in keys}]
            if twice:
                again = _BadKey(f"has key {twice[0]} again", "give each key its own kid")
                findings.append(_bad_key(draft, (*where, "keys", number), name, again))
            keys.extend(found)
        issuers.append(_issuer(draft, entry, tuple(keys)))
    return tuple(issuers), findings


def read_keys(path: Path) -> tuple[IssuerKey, ...]:
    """The public keys of one file; raises `_BadKey`."""
    try:
        raw = path.read_bytes()[: _FILE_BYTES + 1]
    except OSError as fault:
        raise _BadKey(
            f"cannot be read: {fault.strerror}", "put the issuer's public key (JWK) there"
        ) from None
    try:
        content: object = json.loads(raw) if len(raw) <= _FILE_BYTES else None
    except ValueError:
        content = None
    entries = content.get("keys") if isinstance(content, dict) and "keys" in content else [content]
    if not isinstance(entries, list) or not entries:
        raise _no_jwk()
    return tuple(_key(entry) for entry in entries)


def _key(entry: object) -> IssuerKey:
    if not isinstance(entry, dict):
        raise _no_jwk()
    if "d" in entry:
        raise _BadKey(
            "holds a private key",
            "keep it with the issuer, treat it as lost, and put the public part of a new one here",
        )
    algorithm = _KEYS.get((str(entry.get("kty")), str(entry.get("crv"))))
    if algorithm is None:
        raise _BadKey(
            "holds a key that is neither Ed25519 nor P-256", "use one for EdDSA or for ES256"
        )
    if entry.get("alg", algorithm.value) not in (algorithm.value, "Ed25519"):
        raise _BadKey("holds a key for another algorithm", "use one for EdDSA or for ES256")
    names = ("x",) if algorithm is Algorithm.EDDSA else ("x", "y")
    try:
        parts = [bytes_of(cast("str", entry[name])) for name in names]
    except (KeyError, TypeError, ValueError):
        raise _no_jwk() from None
    if any(len(part) != _HALF for part in parts):
        raise _no_jwk()
    kid = entry.get("kid", _thumbprint(entry, names))
    if not isinstance(kid, str) or not 0 < len(kid) <= 128:
        raise _no_jwk()
    return IssuerKey(kid, algorithm, x=parts[0], y=parts[1] if len(parts) > 1 else b"")


def _thumbprint(entry: dict[str, object], names: tuple[str, ...]) -> str:
    needed = {name: entry[name] for name in ("crv", "kty", *names)}
    text = json.dumps(needed, sort_keys=True, separators=(",", ":"))
    return text_of(hashlib.sha256(text.encode()).digest())


def _no_jwk() -> _BadKey:
    return _BadKey(
        "is no JWK of a public key",
        'write {"kty": "OKP", "crv": "Ed25519", "kid": NAME, "x": BASE64URL}',
    )


def _bad_key(draft: Draft, where: Where, name: str, fault: _BadKey) -> Finding:
    return draft.source.finding(
        where, code="bad_key", message=f"{name} {fault.message}", remedy=fault.remedy
    )


def _check_names(draft: Draft, where: Where, entry: IssuerEntry) -> Iterator[Finding]:
    for key, section in (("nodes", "nodes"), ("programs", "programs")):
        known = {name for _, name in draft.names(section)}
        for number, name in enumerate(getattr(entry, key) or ()):
            if name not in known:
                yield draft.source.finding(
                    (*where, key, number),
                    code="unknown_id",
                    message=f"there is no {key[:-1]} {name}{did_you_mean(name, sorted(known))}",
                    remedy=f"name a {key[:-1]} of this file, or add it",
                )
    mandatory = {p.entry.id for p in draft.programs if p.entry.kind == "mandatory"}
    for number, name in enumerate(entry.programs or ()):
        if not _may_sign(entry.rank, mandatory=name in mandatory):
            yield draft.source.finding(
                (*where, "programs", number),
                code="not_permitted",
                message=f"an issuer of rank {entry.rank} is below the events of {name}",
                remedy="give it the rank of the program's utility, or leave the program out",
            )


def _issuer(draft: Draft, entry: IssuerEntry, keys: tuple[IssuerKey, ...]) -> Issuer:
    programs = (
        entry.programs
        if entry.programs is not None
        else [
            placed.entry.id
            for placed in draft.programs
            if _may_sign(entry.rank, mandatory=placed.entry.kind == "mandatory")
        ]
    )
    return Issuer(
        id=entry.id,
        rank=Rank[entry.rank.upper()],
        may=frozenset(entry.may),
        keys=keys,
        nodes=None if entry.nodes is None else frozenset(NodeId(name) for name in entry.nodes),
        min_limit_a=None if entry.min_limit_a is None else float(entry.min_limit_a),
        programs=frozenset(ProgramId(name) for name in programs),
    )


def _may_sign(rank: str, *, mandatory: bool) -> bool:
    return rank == "utility_mandatory" or (rank == "utility_voluntary" and not mandatory)
