"""What the site file says beside the site itself: broker, commands, accepted risks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from edgectl.model.issuer import Issuer


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
class Sampling:
    """How one quantity is sent to the region; `dead_band` is in the unit of the quantity.

    `every_s`: the interval of a sample. `dead_band`: a sample that lies within it of the last one
    sent is left out; 0: it is sent when it changed at all; None: always. `on_change`: sent at once
    as well when the newest value leaves the dead band. `publish` False: never sent.
    """

    every_s: float = 10.0
    dead_band: float | None = None
    on_change: bool = False
    publish: bool = True


SAMPLING: Final[Mapping[str, Sampling]] = MappingProxyType(
    {
        "current_a": Sampling(every_s=10.0, dead_band=0.5),
        "voltage_v": Sampling(every_s=60.0, dead_band=1.0),
        "power_w": Sampling(every_s=10.0, dead_band=100.0),
        "energy_import_wh": Sampling(every_s=60.0, dead_band=0.0),
        "energy_export_wh": Sampling(every_s=60.0, dead_band=0.0),
        "session_wh": Sampling(every_s=60.0, dead_band=0.0),
        "setpoint_a": Sampling(every_s=60.0, dead_band=0.5, on_change=True),
        "ceiling_a": Sampling(every_s=60.0, dead_band=0.0, on_change=True),
        "ceiling_va": Sampling(every_s=60.0, dead_band=0.0, on_change=True),
        "export_ceiling_a": Sampling(every_s=60.0, dead_band=0.0, on_change=True),
        "export_ceiling_w": Sampling(every_s=60.0, dead_band=0.0, on_change=True),
        "base_a": Sampling(every_s=10.0, dead_band=0.5),
        "committed_a": Sampling(every_s=10.0, dead_band=0.5),
    }
)
"""What holds for a quantity that the site file does not name; all phases of one are alike."""


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """What goes to the region, and what waits for it.

    `at_least_s`: everything is sent again so often, whatever the dead bands leave out. `disk_bytes`
    bounds the file in which messages wait; `backfill_rows_per_s` the rate at which what waited
    follows the live messages.
    """

    sampling: Mapping[str, Sampling] = field(default_factory=lambda: dict(SAMPLING))
    at_least_s: float = 900.0
    disk_bytes: int = 480_000_000
    backfill_rows_per_s: float = 50.0

    def of(self, quantity: str) -> Sampling:
        """How a quantity of the vocabulary is sent, whatever its phase."""
        return self.sampling[quantity.partition(".")[0]]


class ExclusionCause(StrEnum):
    """What 23 CFR 680.116(b) lets out of the outage time."""

    UTILITY = "utility_interruption"
    VEHICLE = "vehicle"
    MAINTENANCE = "scheduled_maintenance"
    VANDALISM = "vandalism"
    DISASTER = "natural_disaster"


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A time (UTC) whose outages the owner declares not to be his own. `ports` empty: all EVSEs."""

    ports: frozenset[str]
    from_s: float
    until_s: float
    cause: ExclusionCause
    evidence: str


@dataclass(frozen=True, slots=True)
class Opening:
    """Open hours on some days of the week (0 is Monday), in minutes of local time."""

    days: frozenset[int]
    from_minute: int
    to_minute: int


@dataclass(frozen=True, slots=True)
class IndicatorSettings:
    """What the figures of availability need to be told; no opening hours: always open."""

    exclusions: tuple[Exclusion, ...] = ()
    opening: tuple[Opening, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """What may be commanded from outside."""

    unsigned: Unsigned = Unsigned.NEVER
    issuers: tuple[Issuer, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """`mqtt` None: nothing is published. `accept_risks`: names of risks that the owner took."""

    mqtt: MqttSettings | None = None
    commands: CommandSettings = CommandSettings()
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    indicators: IndicatorSettings = IndicatorSettings()
    accept_risks: frozenset[str] = frozenset()
