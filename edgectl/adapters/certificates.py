"""When the certificates for the brokers end, and the alarm of it in good time.

1. They are renewed by somebody else, on the disk: the files are looked at, not what a connection
   that lasts was made with.
2. Of an authority's file the last to end counts, because old and new ones stand there together; of
   our own chain the first.
3. Nothing is loaded for it: of the certificate only its end is read (RFC 5280, 4.1.2.5).
"""

import asyncio
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from edgectl.clock import Instant
from edgectl.errors import BadInput, Finding
from edgectl.model.decision import Alarm, AlarmCode, Severity
from edgectl.model.settings import MqttSettings

SOON_S: Final = 30 * 86_400.0
URGENT_S: Final = 7 * 86_400.0
LOOK_EVERY_S: Final = 3600.0

_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_VERSION: Final = 0xA0
_BEFORE_VALIDITY: Final = 3
"""Serial number, algorithm, issuer."""
_SHORT_TIME: Final = 0x17


@dataclass(frozen=True, slots=True)
class Ending:
    """A file of the site file's `mqtt` section, and when it ends."""

    name: str
    path: str
    ends_utc_s: float

    def text(self) -> str:
        """Say it, for people."""
        ends = datetime.fromtimestamp(self.ends_utc_s, UTC)
        return f"{self.name} {self.path} ends {ends:%Y-%m-%d %H:%M:%SZ}"


def ending(name: str, path: str) -> Ending:
    """When a certificate file ends; `BadInput` where it holds none, OSError where it is away."""
    text = Path(path).read_text(encoding="ascii", errors="replace")
    try:
        ends = [_end_of(ssl.PEM_cert_to_DER_cert(one)) for one in _PEM.findall(text)]
    except (ValueError, IndexError):
        ends = []
    if not ends:
        raise BadInput(
            [
                Finding(
                    path, 0, f"mqtt.{name}", "no_certificate", "no certificate", "write it in PEM"
                )
            ]
        )
    return Ending(name, path, max(ends) if name == "ca" else min(ends))


def endings(mqtt: MqttSettings) -> tuple[Ending, ...]:
    """Of the files that can be read; the others are told where they are used."""
    found = []
    for name, path in (("ca", mqtt.ca), ("cert", mqtt.cert)):
        if path is not None:
            try:
                found.append(ending(name, path))
            except (OSError, BadInput):
                continue
    return tuple(found)


class CertificateWatch:
    """Looks at the files now and then, from a thread, and tells what ends soon."""

    def __init__(self) -> None:
        self._mqtt: MqttSettings | None = None
        self._found: Sequence[Ending] = ()
        self._look_s = float("-inf")

    def watch(self, mqtt: MqttSettings | None) -> None:
        """Look at the files of these settings from now on."""
        self._mqtt, self._found, self._look_s = mqtt, (), float("-inf")

    def alarms(self, now: Instant) -> tuple[Alarm, ...]:
        """As of the newest look; without a trusted clock nobody knows."""
        if self._mqtt is not None and now.mono_s >= self._look_s:
            self._look_s = now.mono_s + LOOK_EVERY_S
            looking = asyncio.get_running_loop().run_in_executor(None, endings, self._mqtt)
            looking.add_done_callback(self._looked)
        if not now.utc_trusted:
            return ()
        soon = (one for one in self._found if one.ends_utc_s - now.utc_s < SOON_S)
        return tuple(_alarm(one, left_s=one.ends_utc_s - now.utc_s) for one in soon)

    def _looked(self, looking: "asyncio.Future[tuple[Ending, ...]]") -> None:
        if not looking.cancelled():
            self._found = looking.result()


def _alarm(one: Ending, *, left_s: float) -> Alarm:
    past = ": that is past, and no broker takes it" if left_s < 0.0 else ""
    return Alarm(
        code=AlarmCode.CERTIFICATE_ENDS,
        severity=Severity.ALARM if left_s < URGENT_S else Severity.WARNING,
        id=one.name,
        text=f"{one.text()}{past}; renew it on the disk, no restart is needed for it",
    )


def _end_of(der: bytes) -> float:
    """`notAfter` of a certificate, as seconds since 1970."""
    _, at, _ = _element(der, 0)
    _, at, _ = _element(der, at)
    tag, _, after = _element(der, at)
    if tag == _VERSION:
        at = after
    for _ in range(_BEFORE_VALIDITY):
        _, _, at = _element(der, at)
    _, at, _ = _element(der, at)
    _, _, at = _element(der, at)
    tag, start, end = _element(der, at)
    text = der[start:end].decode("ascii")
    if tag == _SHORT_TIME:
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Tag of the element there, where its content begins and where it ends."""
    tag, size, start = der[at], der[at + 1], at + 2
    if size >= 0x80:
        start += size - 0x80
        size = int.from_bytes(der[at + 2 : start], "big")
    if start + size > len(der):
        raise ValueError("the certificate is cut")
    return tag, start, start + size
