"""What the site file says beside the site itself: broker, commands, accepted risks."""

from dataclasses import dataclass
from enum import StrEnum


class MqttProtocol(StrEnum):
    """The protocol spoken with the broker."""

    V5 = "5"
    V311 = "3.1.1"


class Unsigned(StrEnum):
    """Whether unsigned commands and events are taken: never, over mutual TLS, from loopback."""

    NEVER = "never"
    MTLS = "mtls"
    LOOPBACK = "loopback"


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where a broker listens."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether the broker is on this machine: 127.0.0.1 or ::1, by number and not by name."""
        return self.host in {"127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """The regional broker. `brokers` are tried in order.

    `ca`, `cert` and `key` are paths of PEM files, those that the site file gives relatively are
    relative to its folder; None: not used. TLS is spoken where `ca` is given. The password of
    `username` stands in `password_file`.
    """

    brokers: tuple[BrokerAddress, ...]
    protocol: MqttProtocol = MqttProtocol.V5
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    username: str | None = None
    password_file: str | None = None


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """What may be commanded from outside."""

    unsigned: Unsigned = Unsigned.NEVER


@dataclass(frozen=True, slots=True)
class Settings:
    """`mqtt` None: nothing is published. `accept_risks`: names of risks that the owner took."""

    mqtt: MqttSettings | None = None
    commands: CommandSettings = CommandSettings()
    accept_risks: frozenset[str] = frozenset()
