"""The way to the region's brokers over aiomqtt.

1. A new client object for every connection: a used one takes a silent server for connected.
2. Acknowledgements are read where paho gives them, because aiomqtt drops the reason of a PUBACK,
   and a refusal is not an acknowledgement. Publishing goes through paho for the same reason.
3. Nothing of aiomqtt is left behind: futures are read and the socket closed on every way out.
4. Off this machine TLS is spoken, or nothing.
5. Of several brokers `mqtt_choice` says which; certificates and passwords are read by `mqtt_tls`,
   anew for every connection.
6. What the broker says at the connect is kept, as paho does not: no more unacknowledged publishes
   than its Receive Maximum, no packet beyond its Maximum Packet Size.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

import aiomqtt
import paho.mqtt.client as paho
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edgectl.adapters.mqtt_choice import LOOK_S, BrokerChoice
from edgectl.adapters.mqtt_tls import TlsContext, password, tls_context
from edgectl.errors import BadInput, Finding, Unreachable
from edgectl.model.settings import BrokerAddress, MqttProtocol, MqttSettings
from edgectl.model.telemetry import Denial, Incoming, OutMessage, Subscription

IN_FLIGHT: Final = 100
SESSION_EXPIRY_S: Final = 86_400
PACKET_MAX_BYTES: Final = 262_144
RECEIVE_MAX: Final = 100
QUEUED_MAX: Final = 2000
WILL_DELAY_S: Final = 10
"""A shorter loss of the connection is not told to the region."""

CONTENT_TYPE: Final = "application/json"

_HEADER_BYTES: Final = 64
_TOO_LARGE: Final = 0x95
_TAKEN_OVER: Final = 0x8E
_NOT_ABOUT_US: Final = frozenset({0x00, 0x04, 0x89, 0x8B, 0x8D, 0x8E, 0x98, 0x9C, 0x9D, 0x9F, 0xA0})
"""Reasons of a DISCONNECT that no message can be the cause of: MQTT 5, 3.14.2.1."""

_REFUSED_FROM: Final = 0x80

# paho ends the connection on a PUBACK with a reason that the standard has for other packets only.
# mosquitto with `message_size_limit` gives such a one, and its word is as good as any refusal's.
ReasonCode.names = {
    code: {
        name: [*packets, PacketTypes.PUBACK]
        if code >= _REFUSED_FROM and PacketTypes.PUBACK not in packets
        else packets
        for name, packets in names.items()
    }
    for code, names in ReasonCode.names.items()
}
_PROTOCOLS: Final = {
    MqttProtocol.V5: aiomqtt.ProtocolVersion.V5,
    MqttProtocol.V311: aiomqtt.ProtocolVersion.V311,
}


class MqttBroker:
    """`edgectl.model.telemetry.Broker`. `identifier` never changes: it names the session.

    A silent broker is noticed within twice `keepalive_s`, by a waiting publish in `timeout_s`. The
    will is published `will_delay_s` after a loss that lasts so long (MQTT 5; 3.1.1: at once).
    """

    def __init__(
        self,
        settings: MqttSettings,
        *,
        identifier: str,
        keepalive_s: int = 15,
        timeout_s: float = 10.0,
        will_delay_s: int = WILL_DELAY_S,
        look_s: float = LOOK_S,
    ) -> None:
        _refuse_plain(settings)
        self._settings = settings
        self._identifier = identifier
        self._keepalive_s = keepalive_s
        self._timeout_s = timeout_s
        self._will_delay_s = will_delay_s
        self._choice = BrokerChoice(settings, look_s=look_s, timeout_s=timeout_s)

    @property
    def name(self) -> str:
        """Host and port of the one that is tried now."""
        return f"{self._address.host}:{self._address.port}"

    @property
    def _address(self) -> BrokerAddress:
        return self._choice.address

    @asynccontextmanager
    async def connect(self, *, will: OutMessage) -> AsyncIterator["MqttSession"]:
        """Open a new connection, or raise `Unreachable`; see the port for how it ends."""
        tls, secret = await asyncio.to_thread(self._secrets)
        client = self._new_client(will, tls, secret)
        cut = partial(_cut, client, tls)
        limits = _Limits(client)
        _register_from_thread(client)
        try:
            await _enter(client, cut)
        except aiomqtt.MqttError as error:
            failure = self._unreachable(error)
            self._choice.failed()
            raise failure from error
        self._choice.connected()
        session = MqttSession(
            client,
            v5=self._settings.protocol is MqttProtocol.V5,
            name=self.name,
            timeout_s=self._timeout_s,
            limits=limits,
        )
        watch = self._choice.watch(session.leave)
        try:
            yield session
            with suppress(aiomqtt.MqttError):
                await client.__aexit__(None, None, None)
        finally:
            # Without a DISCONNECT the broker publishes the will: right for every way out but the
            # orderly one, on which the socket is closed by now.
            watch.close()
            cut()
            self._choice.ended()

    def _secrets(self) -> tuple[TlsContext | None, str | None]:
        tls = tls_context(self._settings) if self._settings.ca is not None else None
        return tls, password(self._settings)

    def _new_client(
        self, will: OutMessage, tls: TlsContext | None, secret: str | None
    ) -> aiomqtt.Client:
        v5 = self._settings.protocol is MqttProtocol.V5
        properties = _properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        properties.MaximumPacketSize = PACKET_MAX_BYTES
        properties.ReceiveMaximum = RECEIVE_MAX
        will_properties = _properties(PacketTypes.WILLMESSAGE)
        will_properties.WillDelayInterval = self._will_delay_s
        client = aiomqtt.Client(
            self._address.host,
            self._address.port,
            identifier=self._identifier,
            username=self._settings.username,
            password=secret,
            protocol=_PROTOCOLS[self._settings.protocol],
            will=aiomqtt.Will(
                will.topic, will.payload, will.qos, will.retain, will_properties if v5 else None
            ),
            clean_session=None if v5 else False,
            clean_start=False if v5 else paho.MQTT_CLEAN_START_FIRST_ONLY,
            properties=properties if v5 else None,
            keepalive=self._keepalive_s,
            timeout=self._timeout_s,
            max_inflight_messages=IN_FLIGHT,
            tls_context=tls,
        )
        _paho(client).connect_timeout = self._timeout_s
        return client

    def _unreachable(self, error: aiomqtt.MqttError) -> Unreachable:
        remedy = "look at network, address and whether the broker runs"
        if isinstance(error, MqttConnectError):
            remedy = f"look at the rights of client {self._identifier!r} at the broker"
        elif self._settings.ca:
            remedy += "; over TLS 1.3 a refused client certificate looks like silence"
        return Unreachable(message=f"MQTT broker {self.name}: {error}", remedy=remedy)


class MqttSession:
    """`edgectl.model.telemetry.BrokerSession` over one aiomqtt client."""

    def __init__(
        self,
        client: aiomqtt.Client,
        *,
        v5: bool,
        name: str,
        timeout_s: float,
        limits: "_Limits",
    ) -> None:
        self._client = client
        self._room = asyncio.Semaphore(limits.receive_max)
        self._packet_max_bytes = limits.packet_max_bytes
        self._paho = _paho(client)
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
        if reason.value < _REFUSED_FROM:
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
            if isinstance(reason, ReasonCode) and reason.value >= _REFUSED_FROM
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
        properties = _properties(PacketTypes.PUBLISH)
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
        _add_writer(self._client, sock)

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
    return f"the connection ended: {reason}" if reason.value >= _REFUSED_FROM else ""


def _register_from_thread(client: aiomqtt.Client) -> None:
    """Look at a socket's number when it is registered: paho connects in a thread, and fails there.

    Until the session takes over.
    """
    loop = asyncio.get_running_loop()

    def register(_client: paho.Client, _userdata: object, sock: Any) -> None:  # noqa: ANN401 - paho's
        loop.call_soon_threadsafe(_add_writer, client, sock)

    _paho(client).on_socket_register_write = register


def _add_writer(client: aiomqtt.Client, sock: Any) -> None:  # noqa: ANN401 - paho's
    if sock.fileno() >= 0:
        asyncio.get_running_loop().add_writer(sock.fileno(), _write, client)


def _write(client: aiomqtt.Client) -> None:
    try:
        _paho(client).loop_write()
    except OSError as error:
        if not client._disconnected.done():  # noqa: SLF001 - ends its iteration
            client._disconnected.set_exception(error)  # noqa: SLF001


class _Limits:
    """What the broker said in its CONNACK; the usual bounds where it said nothing."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.receive_max = IN_FLIGHT
        self.packet_max_bytes = PACKET_MAX_BYTES
        inner = _paho(client)
        told = inner.on_connect

        def connected(*arguments: Any) -> None:  # noqa: ANN401 - handed on as paho gives them
            said = arguments[-1]
            self.receive_max = min(getattr(said, "ReceiveMaximum", IN_FLIGHT), IN_FLIGHT)
            self.packet_max_bytes = getattr(said, "MaximumPacketSize", PACKET_MAX_BYTES)
            if told is not None:
                told(*arguments)

        inner.on_connect = connected


async def _enter(client: aiomqtt.Client, cut: Callable[[], None]) -> None:
    """Connect. The thread in which paho does it cannot be stopped: given up, it ends by itself."""
    given_up = asyncio.Event()

    async def enter() -> None:
        try:
            await client.__aenter__()
        except BaseException:
            cut()
            if not given_up.is_set():
                raise
        if given_up.is_set():
            cut()

    try:
        await asyncio.shield(enter())
    finally:
        given_up.set()


def _refuse_plain(settings: MqttSettings) -> None:
    findings = [
        Finding(
            file="site file",
            line=0,
            path="mqtt.ca",
            code="plain_refused",
            message=f"a plain connection to {address.host}:{address.port} would leave this machine",
            remedy="give `ca`, so that TLS is spoken, or a broker on 127.0.0.1 or ::1",
        )
        for address in settings.brokers
        if not address.loopback and settings.ca is None
    ]
    if findings:
        raise BadInput(findings)


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


def _properties(packet_type: int) -> Properties:
    return Properties(packet_type)  # type: ignore[no-untyped-call] # paho leaves it untyped


def _paho(client: aiomqtt.Client) -> paho.Client:
    return client._client  # noqa: SLF001 - aiomqtt has no other way to a PUBACK's reason


def _cut(client: aiomqtt.Client, tls: TlsContext | None) -> None:
    """Close the socket as it is, and read the futures that nobody else will."""
    _paho(client)._sock_close()  # noqa: SLF001 - the only end without a DISCONNECT
    if tls is not None and tls.made is not None:
        tls.made.close()
    for future in (client._connected, client._disconnected):  # noqa: SLF001 - see rule 3
        if future.done() and not future.cancelled():
            future.exception()
