"""One connection to a broker: publishing with the broker's word for it, subscribing, listening.

1. Acknowledgements are read where paho gives them, because aiomqtt drops the reason of a PUBACK,
   and a refusal is not an acknowledgement. Publishing goes through paho for the same reason.
2. No more unacknowledged publishes than the broker's Receive Maximum, no packet beyond its Maximum
   Packet Size.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edgectl.adapters.mqtt_paho import REFUSED_FROM, Limits, add_writer, paho_of, properties_of
from edgectl.errors import Unreachable
from edgectl.model.telemetry import Denial, Incoming, OutMessage, Subscription

QUEUED_MAX: Final = 2000
CONTENT_TYPE: Final = "application/json"

_HEADER_BYTES: Final = 64
_TOO_LARGE: Final = 0x95
_TAKEN_OVER: Final = 0x8E
_NOT_ABOUT_US: Final = frozenset({0x00, 0x04, 0x89, 0x8B, 0x8D, 0x8E, 0x98, 0x9C, 0x9D, 0x9F, 0xA0})
"""Reasons of a DISCONNECT that no message can be the cause of: MQTT 5, 3.14.2.1."""


class MqttSession:
    """`edgectl.model.telemetry.BrokerSession` over one aiomqtt client."""

    def __init__(
        self,
        client: aiomqtt.Client,
        *,
        v5: bool,
        name: str,
        timeout_s: float,
        limits: Limits,
    ) -> None:
        self._client = client
        self._room = asyncio.Semaphore(limits.receive_max)
        self._packet_max_bytes = limits.packet_max_bytes
        self._paho = paho_of(client)
        self._v5 = v5
        self._name = name
        self._timeout_s = timeout_s
        self._receipts: dict[int, asyncio.Future[ReasonCode | None]] = {}
        self._why_lost = ""
        self._ended_by: ReasonCode | None = None
        self._told_of_loss = self._paho.on_disconnect
        self._paho.on_publish = self._acknowledged
        self._paho.on_disconnect = self._lost
        self._paho.on_socket_register_write = self._register_write

    @property
    def hung_up(self) -> bool:
        """Whether the broker ended it: by a DISCONNECT about what it got, or by its socket."""
        return self._ended_by is not None and self._ended_by.value not in _NOT_ABOUT_US

    @property
    def found_too_large(self) -> bool:
        """Whether the broker ended it with that word (MQTT 5)."""
        return self._ended_by is not None and self._ended_by.value == _TOO_LARGE

    async def publish(self, message: OutMessage) -> Denial | None:
        """Send, and wait for the acknowledgement; None when the broker took it."""
        size = len(message.topic) + len(message.payload) + len(message.correlation or b"")
        if size + _HEADER_BYTES > self._packet_max_bytes:
            text = f"{size} bytes, and the broker takes packets of {self._packet_max_bytes}"
            return Denial(topic=message.topic, code=_TOO_LARGE, text=text)
        if message.qos == 0:
            return await self._publish(message)
        async with self._room:
            return await self._publish(message)

    async def _publish(self, message: OutMessage) -> Denial | None:
        info = self._paho.publish(
            message.topic,
            message.payload,
            message.qos,
            message.retain,
            self._publish_properties(message),
        )
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise self._unreachable(f"cannot publish: {paho.error_string(info.rc)}")
        if message.qos == 0:
            return None
        receipt = asyncio.get_running_loop().create_future()
        self._receipts[info.mid] = receipt
        try:
            async with asyncio.timeout(self._timeout_s):
                reason = await receipt
        except TimeoutError:
            raise self._unreachable("does not acknowledge a publish") from None
        finally:
            self._receipts.pop(info.mid, None)
        if reason is None:
            lost = self._why_lost or "connection lost"
            raise self._unreachable(f"{lost} while a publish was on its way")
        if reason.value < REFUSED_FROM:
            return None
        return Denial(topic=message.topic, code=reason.value, text=str(reason))

    def leave(self, preferred: str) -> None:
        """End the session for a broker that is preferred and answers again."""
        if not self._client._disconnected.done():  # noqa: SLF001 - ends its iteration
            self._why_lost = f"left for {preferred}, which comes first and answers again"
            self._client._disconnected.set_exception(aiomqtt.MqttError(self._why_lost))  # noqa: SLF001

    async def subscribe(self, subscriptions: Sequence[Subscription]) -> tuple[Denial, ...]:
        """Ask for topics; what the broker refuses comes back, the rest holds."""
        asked: Any = [
            (
                one.topic,
                SubscribeOptions(qos=one.qos, noLocal=True, retainAsPublished=True)
                if self._v5
                else one.qos,
            )
            for one in subscriptions
        ]
        try:
            granted = await self._client.subscribe(asked)
        except aiomqtt.MqttError as error:
            raise self._unreachable(f"cannot subscribe: {error}") from error
        return tuple(
            Denial(topic=one.topic, code=reason.value, text=str(reason))
            for one, reason in zip(subscriptions, granted, strict=True)
            if isinstance(reason, ReasonCode) and reason.value >= REFUSED_FROM
        )

    async def messages(self) -> AsyncIterator[Incoming]:
        """Yield what arrives, in order; raises `Unreachable` at the end."""
        arriving = self._client.messages
        try:
            async for message in arriving:
                yield _incoming(message)
                if len(arriving) > QUEUED_MAX:
                    raise self._unreachable(f"more than {QUEUED_MAX} messages wait to be read")
        except aiomqtt.MqttError as error:
            raise self._unreachable(self._why_lost or str(error.__cause__ or error)) from error

    def _publish_properties(self, message: OutMessage) -> Properties | None:
        if not self._v5:
            return None
        properties = properties_of(PacketTypes.PUBLISH)
        properties.PayloadFormatIndicator = 1
        properties.ContentType = CONTENT_TYPE
        if message.expiry_s is not None:
            properties.MessageExpiryInterval = message.expiry_s
        if message.correlation is not None:
            properties.CorrelationData = message.correlation
        return properties

    def _acknowledged(
        self,
        _client: paho.Client,
        _userdata: object,
        mid: int,
        reason: ReasonCode,
        _properties: Properties,
    ) -> None:
        receipt = self._receipts.get(mid)
        if receipt is not None and not receipt.done():
            receipt.set_result(reason)

    def _lost(self, *arguments: Any) -> None:  # noqa: ANN401 - handed on as paho gives them
        reason = arguments[3]
        self._ended_by = self._ended_by or reason
        # paho tells it twice, and only the first time with the broker's word for it.
        self._why_lost = self._why_lost or _said_of_loss(reason)
        if self._told_of_loss is not None:
            self._told_of_loss(*arguments)
        for receipt in self._receipts.values():
            if not receipt.done():
                receipt.set_result(None)

    def _register_write(self, _client: paho.Client, _userdata: object, sock: Any) -> None:  # noqa: ANN401 - paho's
        """Register at once: a turn later, as aiomqtt does, the number may be another socket's."""
        add_writer(self._client, sock)

    def _unreachable(self, what: str) -> Unreachable:
        return Unreachable(
            message=f"MQTT broker {self._name}: {what}",
            remedy="look at network and broker; the outbox keeps what was not acknowledged",
        )


def _said_of_loss(reason: ReasonCode) -> str:
    if reason.value == _TAKEN_OVER:
        return (
            "another client with the identifier of this site took the session over; two gateways"
            " with one site id disturb each other"
        )
    return f"the connection ended: {reason}" if reason.value >= REFUSED_FROM else ""


def _incoming(message: aiomqtt.Message) -> Incoming:
    payload = message.payload
    properties = message.properties
    return Incoming(
        topic=message.topic.value,
        payload=payload if isinstance(payload, bytes) else str(payload or "").encode(),
        retain=message.retain,
        response_topic=getattr(properties, "ResponseTopic", None),
        correlation=getattr(properties, "CorrelationData", None),
    )
