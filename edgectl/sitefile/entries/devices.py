"""What answers on the links: meters, EVSEs, and how they are reached."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from edgectl.sitefile.entries.values import (
    Current,
    Entry,
    Host,
    Id,
    Phases,
    Port,
)


def _one_node(value: object) -> object:
    """Say how one meter serves several nodes, instead of a wrong type."""
    if isinstance(value, list):
        raise PydanticCustomError(
            "several_nodes",
            "a meter's entry names one node",
            {
                "remedy": "write it once for each node, with an id of its own each time and the "
                "same link and unit: the device is read once"
            },
        )
    return value


class LinkEntry(Entry):
    """One Modbus connection or one serial line; it may serve many devices."""

    id: Id = Field(description="Name of the link.")
    kind: Literal["tcp", "rtu", "rtu_over_tcp"] = Field(
        description="tcp; rtu, a serial device of this machine; or rtu_over_tcp, a converter that "
        "hands RTU frames on to its serial line."
    )
    host: Host | None = Field(
        default=None, description="Host name or address, for tcp and rtu_over_tcp."
    )
    port: Port | None = Field(
        default=None, description="TCP port; default 502 for tcp, needed for rtu_over_tcp."
    )
    device: str | None = Field(
        default=None,
        max_length=4096,
        pattern=r"^/[^\x00-\x20]+$",
        description="Path of the serial device, for rtu; one below /dev/serial/by-id stays the "
        "same when adapters are plugged in another order.",
    )
    baud: int | None = Field(
        default=None,
        ge=300,
        le=1_000_000,
        description="Speed of the serial line; default 19200, the standard's.",
    )
    parity: Literal["N", "E", "O"] | None = Field(
        default=None, description="Parity of the serial line; default E, the standard's."
    )
    stop_bits: Literal[1, 2] | None = Field(
        default=None, description="Stop bits of the serial line; default 1."
    )


class Overrides(Entry):
    """What this one device does differently from its profile."""

    sign: Literal[-1, 1] | None = Field(
        default=None, description="-1 where the current transformers are mounted the other way."
    )
    address_offset: int | None = Field(
        default=None, ge=-65535, le=65535, description="Added to every register address."
    )
    word_order: Literal["high", "low"] | None = Field(
        default=None, description="high: the high word of a longer value comes first."
    )


class MeterEntry(Entry):
    """A meter and the node that it measures."""

    id: Id = Field(description="Name of the meter.")
    node: Annotated[Id, BeforeValidator(_one_node)] = Field(
        description="The node that it measures. A device that stands for several nodes in a row is "
        "written once for each, with the same link and unit."
    )
    profile: Id = Field(description="Device type, such as janitza-umg96rm.")
    link: Id = Field(description="The link that it answers on.")
    unit: int = Field(ge=0, le=255, description="Modbus unit id.")
    sees: Literal["all", "base_only", "part"] = Field(
        default="all",
        description="What it measures of its node: all that flows there, base_only (all but the "
        "EVSEs), or a part, which raises alarms and nothing else.",
    )
    poll_s: float = Field(
        default=1.0, ge=0.05, le=60, description="Time from one reading to the next, in s."
    )
    phases: Phases = Field(
        default=[1, 2, 3],
        description="Entry k is the site phase on the meter's own terminal Lk: "
        "[2, 3, 1] is a rotation.",
    )
    overrides: Overrides | None = Field(default=None)


class EvseEntry(Entry):
    """One EVSE: it serves one vehicle at a time and gets a setpoint."""

    id: Id = Field(description="Name of the EVSE.")
    node: Id = Field(description="The node that feeds it.")
    profile: Id = Field(description="Device type, such as keba-p40.")
    link: Id = Field(description="The link that its charger answers on.")
    unit: int = Field(ge=0, le=255, description="Modbus unit id.")
    connector: int = Field(default=1, ge=1, le=64, description="Which EVSE of its charger.")
    phases: Phases = Field(
        description="Entry k is the site phase on the EVSE's own terminal Lk: [2, 3, 1] is a "
        "rotation, [1] a single-phase EVSE on L1."
    )
    connection: Literal["line_to_neutral", "line_to_line"] = Field(
        default="line_to_neutral",
        description="line_to_line: between two phases, as at 208 or 240 V in North America; "
        "`phases` then has those two.",
    )
    max_a: float = Field(
        gt=0,
        le=10_000,
        description="Most that this EVSE can draw, in A per phase: what its charger is rated for "
        "or set to, or its cable bears. Set it in the charger too: it counts as hardware maximum.",
    )
    failsafe_a: Current | None = Field(
        default=None,
        description="What the charger falls back to when nobody talks to it, in A per phase; "
        "default: what its profile says.",
    )
    boot_a: Current | None = Field(
        default=None,
        description="What the charger allows after its power returns, before anybody talks to it, "
        "in A per phase; default: what its profile says, else its hardware maximum.",
    )
    watchdog_s: float | None = Field(
        default=None,
        gt=0,
        le=86_400,
        description="Time without the controller after which the charger falls back, in s.",
    )
    poll_s: float | None = Field(
        default=None,
        ge=0.05,
        le=60,
        description="Time from one reading to the next, in s; default: what its profile says.",
    )
    allowed_a: Annotated[list[Current], Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="The only currents that this EVSE can be told, rising, in A per phase, where "
        "it takes fewer than its profile says; its pause value goes without saying.",
    )
    weight: float = Field(
        default=1.0, gt=0, le=1_000_000, description="Share relative to others of the same tier."
    )
    tier: int = Field(
        default=0, ge=0, le=1000, description="0 comes first; a higher number gets what is left."
    )
    overrides: Overrides | None = Field(default=None)
