"""Issuers and their keys, from the files that the site file names."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgectl.errors import BadInput
from edgectl.model.ceiling import Rank
from edgectl.model.issuer import Algorithm
from edgectl.sitefile.load import LoadedSite, load_source
from edgectl.sitefile.source import parse_bytes
from tests.commands.signer import FIRST, SECOND, Signer
from tests.sitefile.sites import GOOD, PROFILES

ENTRY = "{id: u, rank: utility_mandatory, may: [limit], nodes: [panel], keys: [u.jwk]}"


def load(folder: Path, entry: str = ENTRY, **files: Any) -> LoadedSite:
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / f"{name}.jwk").write_text(text, encoding="utf-8")
    text = GOOD.replace("{unsigned: mtls}", f"{{unsigned: never, issuers: [{entry}]}}")
    source = parse_bytes(text.encode(), file=str(folder / "site.yaml"))
    return load_source(source, profile_dirs=[PROFILES])


def test_keys_of_both_kinds_from_a_set(tmp_path: Path) -> None:
    loaded = load(tmp_path, u={"keys": [FIRST.jwk(), SECOND.jwk()]})
    (issuer,) = loaded.settings.commands.issuers
    assert issuer.keys == (FIRST.key(), SECOND.key())
    assert [key.algorithm for key in issuer.keys] == [Algorithm.EDDSA, Algorithm.ES256]
    assert (issuer.rank, sorted(issuer.may)) == (Rank.UTILITY_MANDATORY, ["limit"])
    assert (sorted(issuer.nodes or ()), sorted(issuer.programs)) == (["panel"], ["p1"])
    assert not any(warning.code == "no_commands" for warning in loaded.warnings)


def test_the_configs_hash_changes_with_a_key(tmp_path: Path) -> None:
    one = load(tmp_path, u=FIRST.jwk()).config_hash
    assert load(tmp_path, u=SECOND.jwk()).config_hash != one


def test_a_key_without_a_name_is_named_by_its_thumbprint(tmp_path: Path) -> None:
    """The example of RFC 8037, appendix A.3."""
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    (issuer,) = load(tmp_path, u=jwk).settings.commands.issuers
    assert issuer.keys[0].id == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


PUBLIC = FIRST.jwk()
BAD: dict[str, tuple[Any, str]] = {
    "private key": (PUBLIC | {"d": "secretsecret"}, "private"),
    "no JSON": ("hello", "no JWK"),
    "a list": ([PUBLIC], "no JWK"),
    "empty set": ({"keys": []}, "no JWK"),
    "RSA": ({"kty": "RSA", "n": "AQAB", "e": "AQAB"}, "neither"),
    "P-384": ({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}, "neither"),
    "short": (PUBLIC | {"x": "AAAA"}, "no JWK"),
    "another alg": (PUBLIC | {"alg": "HS256"}, "another algorithm"),
    "padded": (PUBLIC | {"x": PUBLIC["x"] + "="}, "no JWK"),
    "same key twice": ({"keys": [PUBLIC]}, ""),
    "kid a number": (PUBLIC | {"kid": 7}, "no JWK"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_key_is_named_with_file_and_line(tmp_path: Path, name: str) -> None:
    content, word = BAD[name]
    entry = ENTRY
    if not word:
        entry, word = ENTRY.replace("[u.jwk]", "[u.jwk, u.jwk]"), "again"
    with pytest.raises(BadInput) as caught:
        load(tmp_path, entry, u=content)
    (finding,) = caught.value.findings
    assert (finding.line, finding.code) == (24, "bad_key")
    assert word in finding.message
    assert "secretsecret" not in str(finding)


WRONG: dict[str, tuple[str, str]] = {
    "no file": (ENTRY.replace("u.jwk", "none.jwk"), "bad_key"),
    "unknown node": (ENTRY.replace("[panel]", "[panle]"), "unknown_id"),
    "unknown program": (ENTRY.replace("may:", "programs: [p9], may:"), "unknown_id"),
    "below its program": (
        ENTRY.replace("utility_mandatory", "operator").replace("may:", "programs: [p1], may:"),
        "not_permitted",
    ),
    "no such verb": (ENTRY.replace("[limit]", "[unlimit]"), "not_allowed"),
    "safety is nobody's": (ENTRY.replace("utility_mandatory", "safety"), "not_allowed"),
    "twice": (f"{ENTRY}, {ENTRY}", "duplicate_id"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_an_issuer_cannot_be(tmp_path: Path, name: str) -> None:
    entry, code = WRONG[name]
    with pytest.raises(BadInput) as caught:
        load(tmp_path, entry, u=PUBLIC)
    assert code in [finding.code for finding in caught.value.findings]


@pytest.mark.parametrize("rank", ["operator", "technician"])
def test_only_a_utility_signs_events(tmp_path: Path, rank: str) -> None:
    entry = ENTRY.replace("utility_mandatory", rank)
    (issuer,) = load(tmp_path, entry, u=Signer("x").jwk()).settings.commands.issuers
    assert issuer.programs == frozenset()
