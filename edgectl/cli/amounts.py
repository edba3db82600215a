"""Amounts and durations as a technician types them: `120kW`, `63A`, `63/40/63A`, `1h30m`."""

import re
from typing import Final

from edgectl.cli.output import BAD_INPUT, CliError

_POWER: Final = re.compile(r"(?P<value>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>W|kW|MW)", re.IGNORECASE)
_CURRENT: Final = re.compile(
    r"(?P<values>[0-9]+(?:\.[0-9]+)?(?:/[0-9]+(?:\.[0-9]+)?){0,2})\s*A", re.IGNORECASE
)
_DURATION: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?[dhms])+", re.IGNORECASE)
_DURATION_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([dhms])", re.IGNORECASE)
_W_PER: Final = {"w": 1.0, "kw": 1000.0, "mw": 1_000_000.0}
_S_PER: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


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
        remedy="write it with its units, such as 2h, 90m, 1h30m, 45s or 1d",
    )
