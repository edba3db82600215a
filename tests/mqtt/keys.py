"""Authorities, certificates and keys for the tests, made when they run and never kept."""

from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.mqtt.mosquitto import Mosquitto


@dataclass(frozen=True)
class Keys:
    """Files of one authority: the broker's and ours."""

    ca: Path
    server_cert: Path
    server_key: Path
    cert: Path
    key: Path


def make_keys(folder: Path, *, name: str = "region") -> Keys:
    """One authority that vouches for the broker at 127.0.0.1 and for us."""
    made = folder / name
    made.mkdir(exist_ok=True)
    authority = trustme.CA()
    keys = Keys(
        ca=made / "ca.pem",
        server_cert=made / "server.pem",
        server_key=made / "server.key",
        cert=made / "gw.pem",
        key=made / "gw.key",
    )
    authority.cert_pem.write_to_path(keys.ca)
    for issued, cert, key in (
        (authority.issue_cert("127.0.0.1"), keys.server_cert, keys.server_key),
        (authority.issue_cert("gateway@depot.example"), keys.cert, keys.key),
    ):
        issued.cert_chain_pems[0].write_to_path(cert)
        issued.private_key_pem.write_to_path(key)
        key.chmod(0o600)
    return keys


def tls_mosquitto(folder: Path, keys: Keys, *, extra: str = "") -> Mosquitto:
    """A broker that speaks TLS and wants our certificate."""
    lines = (
        f"cafile {keys.ca}",
        f"certfile {keys.server_cert}",
        f"keyfile {keys.server_key}",
        "require_certificate true",
        extra,
    )
    return Mosquitto(folder, extra="\n".join(lines))
