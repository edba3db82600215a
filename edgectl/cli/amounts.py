"""Amounts and durations as a technician types them: `120kW`, `63A`, `63/40/63A`, `1h30m`."""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from edgectl.cli.output import BAD_INPUT, CliError

_POWER: Final = re.compile(r"(?P<value>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>W|kW|MW)", re.IGNORECASE)
_CURRENT: Final = re.compile(
    r"(?P<values>[0-9]+(?:\.[0-9]+)?(?:/[0-9]+(?:\.[0-9]+)?){0,2})\s*A", re.IGNORECASE
)
_ENERGY: Final = re.compile(r"(?P<value>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>Wh|kWh|MWh)", re.IGNORECASE)
_TIME_OF_DAY: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_DURATION: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?[dhms])+", re.IGNORECASE)
_DURATION_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([dhms])", re.IGNORECASE)
_W_PER: Final = {"w": 1.0, "kw": 1000.0, "mw": 1_000_000.0}
_S_PER: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_DEPARTURES: Final = "write 05:30 for the site's own clock, 6h from now, or 2026-11-27T05:30:00Z"


def limit_of(text: str) -> dict[str, object]:
    """Read a limit as the fields of the contract: `limit_w`, or `limit_a` for each phase."""
    power = _POWER.fullmatch(text.strip())
    if power is not None:
        return {"limit_w": float(power["value"]) * _W_PER[power["unit"].lower()]}
    current = _CURRENT.fullmatch(text.strip())
    values = [] if current is None else [float(value) for value in current["values"].split("/")]
    if len(values) == 1:
        return {"limit_a": values * 3}
    if len(values) == 3:
        return {"limit_a": values}
    raise CliError(
        exit_code=BAD_INPUT,
        code="bad_amount",
        message=f"{text!r} is not a limit",
        remedy="write a power such as 120kW, a current for every phase such as 63A, or one for "
        "each phase such as 63/40/63A",
    )


def energy_wh(text: str) -> float:
    """Read an energy in Wh."""
    energy = _ENERGY.fullmatch(text.strip())
    if energy is None:
        raise CliError(
            exit_code=BAD_INPUT,
            code="bad_amount",
            message=f"{text!r} is not an energy",
            remedy="write it with its unit, such as 80kWh",
        )
    return float(energy["value"]) * _W_PER[energy["unit"].lower().removesuffix("h")]


def departure(text: str, *, now: datetime, zone: str) -> str:
    """Read a time to come, as the contract writes it.

    A time of day is the next one on the clocks of `zone`; a duration counts from `now`.
    """
    of_day = _TIME_OF_DAY.fullmatch(text.strip())
    if of_day is not None:
        local = now.astimezone(ZoneInfo(zone))
        clock = time(int(of_day[1]), int(of_day[2]), tzinfo=local.tzinfo)
        found = datetime.combine(local.date(), clock)
        if found <= local:
            found = datetime.combine(local.date() + timedelta(days=1), clock)
        return found.astimezone(UTC).isoformat()
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        return (now + timedelta(seconds=_from_now_s(text))).isoformat()
    if given.tzinfo is None:
        raise CliError(
            exit_code=BAD_INPUT,
            code="bad_time",
            message=f"{text!r} does not say in which zone it is",
            remedy=_DEPARTURES,
        )
    return given.astimezone(UTC).isoformat()


def _from_now_s(text: str) -> float:
    try:
        return duration_s(text)
    except CliError:
        raise CliError(
            exit_code=BAD_INPUT,
            code="bad_time",
            message=f"{text!r} is not a time to come",
            remedy=_DEPARTURES,
        ) from None


def duration_s(text: str) -> float:
    """Read a duration in seconds; a bare number is refused, for its unit would be a guess."""
    seconds = 0.0
    if _DURATION.fullmatch(text.strip()):
        for value, unit in _DURATION_PART.findall(text):
            seconds += float(value) * _S_PER[unit.lower()]
    if seconds > 0:
        return seconds
    raise CliError(
        exit_code=BAD_INPUT,
        code="bad_duration",
        message=f"{text!r} is not a duration",
        remedy="write it with its units and without a sign, such as 2h, 90m, 1h30m, 45s or 1d",
    )
