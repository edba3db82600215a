"""TLS to the region's brokers: our certificates, the secrets beside them, and whether one answers.

1. Files are read anew for every connection, so that renewed ones are used at the next.
2. A key or a password that everybody on this machine may read is no secret, and is not used.
3. TLS 1.2 at least.
"""

import socket
import ssl
import stat
from pathlib import Path
from typing import Any, Final

from edgectl.errors import Unreachable
from edgectl.model.settings import BrokerAddress, MqttSettings

PASSWORD_BYTES: Final = 4096
_VERDICT_S: Final = 1.0


class TlsContext(ssl.SSLContext):
    """Remembers its one socket, which paho forgets without closing when the handshake fails."""

    made: ssl.SSLSocket | None = None

    def wrap_socket(self, *arguments: Any, **named: Any) -> ssl.SSLSocket:  # noqa: ANN401 - as given
        """Wrap as ever, and remember it."""
        self.made = super().wrap_socket(*arguments, **named)
        return self.made


def tls_context(settings: MqttSettings) -> TlsContext:
    """Read the certificates; `Unreachable` names the files that cannot be used."""
    context = TlsContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(settings.ca)
        if settings.cert is not None:
            if settings.key is not None:
                _refuse_open(Path(settings.key))
            context.load_cert_chain(settings.cert, settings.key)
    except OSError as error:
        files = ", ".join(str(one) for one in (settings.ca, settings.cert, settings.key) if one)
        raise Unreachable(
            message=f"MQTT over TLS: {files}: {error}",
            remedy="look at the files, their format and their rights",
        ) from error
    return context


def password(settings: MqttSettings) -> str | None:
    """Read the password from its file; None where the site file names none."""
    if settings.password_file is None:
        return None
    path = Path(settings.password_file)
    try:
        _refuse_open(path)
        with path.open("rb") as file:
            return file.read(PASSWORD_BYTES).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Unreachable(
            message=f"MQTT password file {path}: {error}",
            remedy="look at the file and its rights: the service must be able to read it",
        ) from error


def answers(address: BrokerAddress, settings: MqttSettings, *, timeout_s: float) -> bool:
    """Whether a broker takes a connection and, over TLS, our certificate; for a thread, it waits.

    Over TLS 1.3 a server refuses a certificate after the handshake, so its verdict is waited for.
    """
    try:
        with socket.create_connection((address.host, address.port), timeout_s) as plain:
            if settings.ca is None:
                return True
            context = tls_context(settings)
            with context.wrap_socket(plain, server_hostname=address.host) as secure:
                secure.settimeout(_VERDICT_S)
                try:
                    # Nobody speaks before our CONNECT: whatever comes now is the end.
                    secure.recv(1)
                except TimeoutError:
                    return True
                return False
    except (OSError, Unreachable):
        return False


def _refuse_open(path: Path) -> None:
    if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        raise PermissionError(f"{path} can be read by everybody on this machine (chmod o-rwx)")
