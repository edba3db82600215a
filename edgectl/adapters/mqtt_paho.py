"""What paho and aiomqtt do otherwise than we need, around one client.

1. A used client takes a silent server for connected, so nothing of one is left behind: futures are
   read and the socket closed on every way out.
2. What the broker says at the connect is kept, as paho does not.
3. paho connects in a thread, which cannot be stopped and registers its socket from there.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgectl.adapters.mqtt_tls import TlsContext

IN_FLIGHT: Final = 100
PACKET_MAX_BYTES: Final = 262_144
REFUSED_FROM: Final = 0x80

# paho ends the connection on a PUBACK with a reason that the standard has for other packets only.
# mosquitto with `message_size_limit` gives such a one, and its word is as good as any refusal's.
ReasonCode.names = {
    code: {
        name: [*packets, PacketTypes.PUBACK]
        if code >= REFUSED_FROM and PacketTypes.PUBACK not in packets
        else packets
        for name, packets in names.items()
    }
    for code, names in ReasonCode.names.items()
}


class Limits:
    """What the broker said in its CONNACK; the usual bounds where it said nothing."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.receive_max = IN_FLIGHT
        self.packet_max_bytes = PACKET_MAX_BYTES
        inner = paho_of(client)
        told = inner.on_connect

        def connected(*arguments: Any) -> None:  # noqa: ANN401 - handed on as paho gives them
            said = arguments[-1]
            self.receive_max = min(getattr(said, "ReceiveMaximum", IN_FLIGHT), IN_FLIGHT)
            self.packet_max_bytes = getattr(said, "MaximumPacketSize", PACKET_MAX_BYTES)
            if told is not None:
                told(*arguments)

        inner.on_connect = connected


async def enter(client: aiomqtt.Client, end: Callable[[], None]) -> None:
    """Connect, or `end` it. A thread of paho that was given up (rule 3) ends by itself."""
    given_up = asyncio.Event()

    async def enter() -> None:
        try:
            await client.__aenter__()
        except BaseException:
            end()
            if not given_up.is_set():
                raise
        if given_up.is_set():
            end()

    try:
        await asyncio.shield(enter())
    finally:
        given_up.set()


def properties_of(packet_type: int) -> Properties:
    """Empty properties for a kind of packet."""
    return Properties(packet_type)  # type: ignore[no-untyped-call] # paho leaves it untyped


def paho_of(client: aiomqtt.Client) -> paho.Client:
    """The client below."""
    return client._client  # noqa: SLF001 - aiomqtt has no other way to a PUBACK's reason


def cut(client: aiomqtt.Client, tls: TlsContext | None) -> None:
    """Close the socket as it is, and read the futures that nobody else will."""
    paho_of(client)._sock_close()  # noqa: SLF001 - the only end without a DISCONNECT
    if tls is not None and tls.made is not None:
        tls.made.close()
    for future in (client._connected, client._disconnected):  # noqa: SLF001 - see rule 1
        if future.done() and not future.cancelled():
            future.exception()


def register_from_thread(client: aiomqtt.Client) -> None:
    """Look at a socket's number when it is registered: paho connects in a thread, and fails there.

    Until the session takes over.
    """
    loop = asyncio.get_running_loop()

    def register(_client: paho.Client, _userdata: object, sock: Any) -> None:  # noqa: ANN401 - paho's
        loop.call_soon_threadsafe(add_writer, client, sock)

    paho_of(client).on_socket_register_write = register


def add_writer(client: aiomqtt.Client, sock: Any) -> None:  # noqa: ANN401 - paho's
    """Have paho write when its socket has room, unless it is closed by now."""
    if sock.fileno() >= 0:
        asyncio.get_running_loop().add_writer(sock.fileno(), _write, client)


def _write(client: aiomqtt.Client) -> None:
    try:
        paho_of(client).loop_write()
    except OSError as error:
        if not client._disconnected.done():  # noqa: SLF001 - ends its iteration
            client._disconnected.set_exception(error)  # noqa: SLF001
