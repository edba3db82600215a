"""Certificates, keys and passwords that the site file names: there, readable, fitting, and secret.

Nothing is refused for it: without the region the depot charges on. The daemon reads them anew for
every connection.
"""

import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edgectl.errors import Finding
from edgectl.model.settings import MqttSettings
from edgectl.sitefile.build import CREDENTIAL, CREDENTIALS
from edgectl.sitefile.draft import Draft

_SECRETS: Final = frozenset({"key", "password_file"})


def check_secret_files(draft: Draft, mqtt: MqttSettings) -> Iterator[Finding]:
    """Say what a connection would stumble over."""
    sound = True
    for name, path in (
        ("ca", mqtt.ca),
        ("cert", mqtt.cert),
        ("key", mqtt.key),
        ("password_file", mqtt.password_file),
    ):
        if path is None:
            continue
        finding = _file(draft, name, Path(path))
        if finding is not None:
            sound = False
            yield finding
    if sound and mqtt.ca is not None:
        yield from _contents(draft, mqtt)


def _file(draft: Draft, name: str, path: Path) -> Finding | None:
    where = ("mqtt", name)
    if path.is_relative_to(CREDENTIALS):
        # Only the running service sees it.
        stored = Path("/etc/credstore") / f"edgectl.{path.name}"
        if path.exists() or stored.exists():
            return None
        return draft.source.finding(
            where,
            code="no_file",
            message=f"{CREDENTIAL}{path.name} has nothing behind it on this machine",
            remedy=f"put it into {stored}, readable by root alone, and restart the service",
        )
    try:
        mode = path.stat().st_mode
        with path.open("rb") as file:
            file.read(1)
    except FileNotFoundError:
        return draft.source.finding(
            where,
            code="no_file",
            message=f"there is no file {path}",
            remedy="put it there, or correct its name; it is relative to the site file's folder",
        )
    except OSError as fault:
        return draft.source.finding(
            where,
            code="unreadable",
            message=f"{path} cannot be read by this user: {fault.strerror}",
            remedy="the service must be able to: chgrp edgectl, chmod 0640",
        )
    if name in _SECRETS and mode & (stat.S_IROTH | stat.S_IWOTH):
        return draft.source.finding(
            where,
            code="open_secret",
            message=f"everybody on this machine can read {path}: it will not be used",
            remedy=f"chmod o-rwx {path}; chgrp edgectl {path}",
        )
    return None


def _contents(draft: Draft, mqtt: MqttSettings) -> Iterator[Finding]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(mqtt.ca)
    except (ssl.SSLError, OSError) as fault:
        yield draft.source.finding(
            ("mqtt", "ca"),
            code="bad_certificate",
            message=f"{mqtt.ca} holds no certificate that can be used: {fault}",
            remedy="write the authority's certificate there in PEM",
        )
    if mqtt.cert is None or mqtt.key is None:
        return
    try:
        # An empty answer: an encrypted key must not make a service ask for its password.
        context.load_cert_chain(mqtt.cert, mqtt.key, password="")
    except (ssl.SSLError, OSError) as fault:
        yield draft.source.finding(
            ("mqtt", "cert"),
            code="bad_certificate",
            message=f"{mqtt.cert} and {mqtt.key} cannot be used together: {fault}",
            remedy="write our certificate (and those between it and the authority) and its own,"
            " unencrypted key there in PEM",
        )
