"""The regional broker, and what is sent to it."""

from typing import Annotated, Literal

from pydantic import Field

from edgectl.sitefile.entries.values import (
    Entry,
    FileName,
    Host,
    Port,
)

SampledQuantity = Literal[
    "current_a",
    "voltage_v",
    "power_w",
    "energy_import_wh",
    "energy_export_wh",
    "session_wh",
    "setpoint_a",
    "ceiling_a",
    "ceiling_va",
    "export_ceiling_a",
    "export_ceiling_w",
    "base_a",
    "committed_a",
]


class BrokerEntry(Entry):
    """Where a broker listens."""

    host: Host = Field(description="Host name or address.")
    port: Port = Field(description="TCP port, 8883 for TLS as a rule.")


class MqttEntry(Entry):
    """The regional broker. Secrets never stand here: `key` names a file."""

    brokers: Annotated[list[BrokerEntry], Field(min_length=1, max_length=8)] = Field(
        description="Tried in this order."
    )
    protocol: Literal[5, "3.1.1"] = Field(default=5, description="5, or 3.1.1 for old brokers.")
    ca: FileName | None = Field(
        default=None, description="PEM file of the authority that signed the broker's certificate."
    )
    cert: FileName | None = Field(default=None, description="PEM file of our own certificate.")
    key: FileName | None = Field(
        default=None,
        description="PEM file of our own private key, or credential:mqtt.key for one that systemd "
        "gives the service.",
    )
    username: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        default=None, description="User name at the broker, where a certificate is not enough."
    )
    password_file: FileName | None = Field(
        default=None,
        description="File with the password alone, or credential:mqtt.password. It never stands "
        "here itself.",
    )


class SamplingEntry(Entry):
    """How one quantity is sent. What is left out stays as it is by default."""

    every_s: float | None = Field(
        default=None, ge=1, le=86_400, description="Interval of a sample, in s."
    )
    dead_band: float | None = Field(
        default=None,
        ge=0,
        le=1_000_000_000,
        description="In the quantity's unit: a sample within it of the last one sent is left out; "
        "0: left out while nothing changed; null: never left out.",
    )
    on_change: bool | None = Field(
        default=None, description="Send at once when the value leaves the dead band."
    )
    publish: bool = Field(default=True, description="false: never send it.")


class TelemetryEntry(Entry):
    """What is sent to the region, and what may wait for it on the disk."""

    quantities: dict[SampledQuantity, SamplingEntry] = Field(
        default={}, description="How each quantity is sent; all its phases are alike."
    )
    at_least_s: float = Field(
        default=900.0,
        ge=10,
        le=86_400,
        description="Everything is sent again so often, whatever the dead bands leave out, in s.",
    )
    disk_mb: float = Field(
        default=480.0,
        ge=10,
        le=100_000,
        description="Most that waiting messages may take of the disk, in MB; beyond it the oldest "
        "lose detail, then go.",
    )
    backfill_rows_per_s: float = Field(
        default=50.0,
        ge=1,
        le=1000,
        description="How many waiting messages a second follow the live ones after an outage.",
    )
