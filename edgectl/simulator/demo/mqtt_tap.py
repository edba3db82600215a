"""The region's side of a demo: counts what the site publishes and sends it a demand-response event.

Numbers come from the envelope that every message of the site carries: a consumer drops duplicates
by (stream, seq), and `seq` counts up by one from 1, so that the highest one tells how many there
were.
"""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import aiomqtt

from edgectl.errors import Unreachable
from edgectl.simulator.demo.broker import Broker

_TIMEOUT_S: Final = 10.0
_ANSWERED: Final = frozenset({"accepted", "partial", "active", "completed"})


@dataclass(slots=True)
class Heard:
    """What came from the site so far."""

    seqs: dict[str, set[int]] = field(default_factory=dict)
    online: asyncio.Event = field(default_factory=asyncio.Event)
    samples: int = 0
    dr_states: dict[str, list[str]] = field(default_factory=dict)
    dr_codes: dict[str, str] = field(default_factory=dict)
    messages: int = 0

    @property
    def published(self) -> int:
        """Give how many numbered messages there were."""
        return sum(max(seqs) for seqs in self.seqs.values())

    @property
    def received(self) -> int:
        """Give how many of them came, duplicates counted once."""
        return sum(len(seqs) for seqs in self.seqs.values())

    def answered(self, event_id: str) -> bool:
        """Tell whether the site answered the event with more than its receipt."""
        return not _ANSWERED.isdisjoint(self.dr_states.get(event_id, ()))

    def take(self, name: str, payload: bytes) -> None:
        """Take one message; `name` is the topic below the site's prefix."""
        self.messages += 1
        try:
            body = json.loads(payload)
        except (ValueError, RecursionError):
            return
        if not isinstance(body, dict):
            return
        if name == "status" and body.get("state") == "online":
            self.online.set()
        if isinstance(body.get("stream"), str) and isinstance(body.get("seq"), int):
            self.seqs.setdefault(body["stream"], set()).add(body["seq"])
        if name == "telemetry":
            self.samples += len(body.get("samples", ()))
        if name == "dr/response" and isinstance(body.get("event_id"), str):
            self.dr_states.setdefault(body["event_id"], []).append(str(body.get("state")))
            self.dr_codes[body["event_id"]] = str(body.get("code"))


class MqttTap:
    """A subscriber to everything of one site, and the sender of its events."""

    def __init__(self, broker: Broker, *, prefix: str) -> None:
        self.heard = Heard()
        self._broker = broker
        self._prefix = prefix
        self._subscribed = asyncio.Event()
        self._client: aiomqtt.Client | None = None

    async def listen(self) -> None:
        """Count until cancelled; raises Unreachable when the broker is lost."""
        newest = self._broker.protocol == 5
        protocol = aiomqtt.ProtocolVersion.V5 if newest else aiomqtt.ProtocolVersion.V311
        client = aiomqtt.Client(
            self._broker.host, self._broker.port, protocol=protocol, timeout=_TIMEOUT_S
        )
        try:
            async with client:
                await client.subscribe(f"{self._prefix}#", qos=1)
                self._client = client
                self._subscribed.set()
                async for message in client.messages:
                    # A retained status is the last run's; the daemon of this one speaks for itself.
                    if not message.retain:
                        name = message.topic.value.removeprefix(self._prefix)
                        self.heard.take(name, _bytes(message.payload))
        except aiomqtt.MqttError as error:
            raise Unreachable(
                message=f"the broker {self._broker.host}:{self._broker.port} is lost: {error}",
                remedy="see whether it runs and takes plain connections without a password",
            ) from error

    async def subscribed(self) -> None:
        """Return once nothing that is published can be missed."""
        await self._subscribed.wait()

    async def publish_retained(self, name: str, payload: bytes) -> None:
        """Publish below the site's prefix; an empty payload deletes what is retained."""
        if self._client is not None:
            await self._client.publish(self._prefix + name, payload, qos=1, retain=True)


def capacity_limit_event(
    event_id: str,
    program_id: str,
    *,
    made_utc_s: float,
    start_utc_s: float,
    duration_s: float,
    limit_w: float,
) -> bytes:
    """Write an OpenADR 3 event: an import limit in kW for the whole site."""
    made = _rfc3339(made_utc_s)
    event: dict[str, Any] = {
        "objectType": "EVENT",
        "id": event_id,
        "createdDateTime": made,
        "modificationDateTime": made,
        "programID": program_id,
        "eventName": "demo: evening peak",
        "payloadDescriptors": [
            {
                "objectType": "EVENT_PAYLOAD_DESCRIPTOR",
                "payloadType": "IMPORT_CAPACITY_LIMIT",
                "units": "KW",
            }
        ],
        "intervalPeriod": {
            "start": _rfc3339(start_utc_s),
            "duration": f"PT{duration_s:.0f}S",
            "randomizeStart": "PT0S",
        },
        "intervals": [
            {
                "id": 0,
                "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [limit_w / 1000.0]}],
            }
        ],
    }
    return json.dumps(event).encode()


def _rfc3339(utc_s: float) -> str:
    moment = datetime.fromtimestamp(utc_s, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _bytes(payload: object) -> bytes:
    return payload if isinstance(payload, bytes) else b""
