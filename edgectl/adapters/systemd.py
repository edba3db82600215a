"""The service manager: readiness, watchdog and status line over its notify socket."""

import contextlib
import socket
import time
from collections.abc import Mapping


class Systemd:
    """Fulfils `model.ports.Watchdog`. Without an address every call does nothing.

    A send never waits: a service manager that does not read must not hold up the tick.
    """

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Systemd":
        """Use the address that systemd gives a `Type=notify` service."""
        return cls(environment.get("NOTIFY_SOCKET"))

    def ready(self) -> None:
        """Say that the daemon serves."""
        self._send("READY=1")

    def feed(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Show one line in `systemctl status`."""
        self._send("STATUS=" + " ".join(text.split()))

    def reloading(self) -> None:
        """Say that the configuration is read anew; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the daemon is on its way down."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if self._socket is None or not self._address:
            return
        abstract = self._address.startswith("@")
        address = "\0" + self._address[1:] if abstract else self._address
        # A lost notification is the service manager's to judge: the next feed follows in a second.
        with contextlib.suppress(OSError):
            self._socket.sendto(message.encode(), address)
