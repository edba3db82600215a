"""The way to the region's brokers over aiomqtt.

1. A new client object for every connection; what paho and aiomqtt need around it is in `mqtt_paho`,
   what goes over the connection in `mqtt_session`.
2. Off this machine TLS is spoken, or nothing.
3. Of several brokers `mqtt_choice` says which; certificates and passwords are read by `mqtt_tls`,
   anew for every connection.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

import aiomqtt
import paho.mqtt.client as paho
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.packettypes import PacketTypes

from edgectl.adapters.mqtt_choice import LOOK_S, BrokerChoice
from edgectl.adapters.mqtt_paho import (
    IN_FLIGHT,
    PACKET_MAX_BYTES,
    Limits,
    cut,
    enter,
    paho_of,
    properties_of,
    register_from_thread,
)
from edgectl.adapters.mqtt_session import MqttSession
from edgectl.adapters.mqtt_tls import TlsContext, password, tls_context
from edgectl.errors import BadInput, Finding, Unreachable
from edgectl.model.settings import BrokerAddress, MqttProtocol, MqttSettings
from edgectl.model.telemetry import OutMessage

SESSION_EXPIRY_S: Final = 86_400
RECEIVE_MAX: Final = 100
WILL_DELAY_S: Final = 10
"""A shorter loss of the connection is not told to the region."""

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
        end = partial(cut, client, tls)
        limits = Limits(client)
        register_from_thread(client)
        try:
            await enter(client, end)
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
            end()
            self._choice.ended()

    def _secrets(self) -> tuple[TlsContext | None, str | None]:
        tls = tls_context(self._settings) if self._settings.ca is not None else None
        return tls, password(self._settings)

    def _new_client(
        self, will: OutMessage, tls: TlsContext | None, secret: str | None
    ) -> aiomqtt.Client:
        v5 = self._settings.protocol is MqttProtocol.V5
        properties = properties_of(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        properties.MaximumPacketSize = PACKET_MAX_BYTES
        properties.ReceiveMaximum = RECEIVE_MAX
        will_properties = properties_of(PacketTypes.WILLMESSAGE)
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
        paho_of(client).connect_timeout = self._timeout_s
        return client

    def _unreachable(self, error: aiomqtt.MqttError) -> Unreachable:
        remedy = "look at network, address and whether the broker runs"
        if isinstance(error, MqttConnectError):
            remedy = f"look at the rights of client {self._identifier!r} at the broker"
        elif self._settings.ca:
            remedy += "; over TLS 1.3 a refused client certificate looks like silence"
        return Unreachable(message=f"MQTT broker {self.name}: {error}", remedy=remedy)


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
