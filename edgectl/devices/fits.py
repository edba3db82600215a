"""Which profile fits what answers at a unit: questions as a generator, judged by what comes back.

1. Only reads are asked, each once however many profiles want it, and `MOST_READS` at most.
2. A unit that keeps silent to its first questions is not there; no other profile is tried on it.
3. A profile fits when its identification holds, every block of its polls is answered, and every
   value in them is one that the device may have, or its own word for none. The more of them, the
   better the evidence; where every register says 0, there is none.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edgectl.devices.codec import Bad, Value
from edgectl.devices.profile import PollClass, Profile
from edgectl.devices.quantities import CURRENTS, FREQUENCY, VOLTAGES
from edgectl.devices.reads import ReadBatch, decode, identify, plan_reads, unmet
from edgectl.model.modbus import Answer, Miss, MissCause, Request

SILENT_AFTER: Final = 2
MOST_READS: Final = 40
BLOCKS_MOST: Final = 4

_GATEWAY: Final = frozenset({10, 11})
_LIKELY: Final[Mapping[str, tuple[float, float]]] = {
    **dict.fromkeys(VOLTAGES, (50.0, 500.0)),
    **dict.fromkeys(CURRENTS, (-10_000.0, 10_000.0)),
    FREQUENCY: (45.0, 65.0),
}


@dataclass(frozen=True, slots=True)
class Fit:
    """How one profile does. `values`: good values read; `against`: why it does not fit."""

    profile: str
    title: str
    evidence: str
    values: int
    against: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What is at a unit. `fits`: the best first, those that do not fit after them."""

    unit: int
    answers: bool
    reads: int
    detail: str
    fits: tuple[Fit, ...] = ()


Probing = Generator[Request, Answer | Miss, Found]


def probing(profiles: Sequence[Profile], unit: int) -> Probing:
    """Ask one unit; send every yielded request, and give back what came of it."""
    known: dict[Request, Answer | Miss] = {}
    fits: list[Fit] = []
    detail = ""
    for profile in profiles:
        fit = yield from _fit(profile, unit, known)
        misses = [miss for miss in known.values() if isinstance(miss, Miss) and _is_silence(miss)]
        if misses:
            detail = misses[-1].detail
        if len(misses) == len(known) >= SILENT_AFTER:
            return Found(unit=unit, answers=False, reads=len(known), detail=detail)
        fits.append(fit)
    heard = any(isinstance(one, Answer) or not _is_silence(one) for one in known.values())
    return Found(
        unit=unit,
        answers=heard,
        reads=len(known),
        detail=detail,
        fits=tuple(sorted(fits, key=lambda fit: (fit.against is not None, -fit.values))),
    )


_Outcome = Generator[Request, Answer | Miss, Answer | Miss]


def _fit(
    profile: Profile, unit: int, known: dict[Request, Answer | Miss]
) -> Generator[Request, Answer | Miss, Fit]:
    connector = profile.connectors.first
    check = identify(profile, unit=unit, connector=connector)
    said: list[str] = []
    good: dict[str, Value] = {}
    wanted: list[Request] = []
    if check is not None:
        wanted.append(check.batch.request)
        outcome = yield from _ask(check.batch.request, known)
        if isinstance(outcome, Miss):
            return _against(profile, f"{_where(check.batch)}: {outcome.detail}")
        values = decode(check.batch, outcome.words)
        wrong = unmet(check, values)
        if wrong:
            return _against(profile, wrong[0].text)
        said += [f"{name} is {_shown(value)}" for name, value in values.items()]
        good |= values
    blocks = [
        batch
        for batch in plan_reads(profile, unit=unit, connector=connector)
        if batch.period is PollClass.FAST
    ]
    for batch in blocks[:BLOCKS_MOST]:
        wanted.append(batch.request)
        outcome = yield from _ask(batch.request, known)
        if isinstance(outcome, Miss):
            return _against(profile, f"{_where(batch)}: {outcome.detail}")
        values = decode(batch, outcome.words)
        unlikely = next((why for why in map(_unlikely, values.items()) if why), None)
        if unlikely is not None:
            return _against(profile, unlikely)
        good |= {name: value for name, value in values.items() if not isinstance(value, Bad)}
    if not any(any(_words(known[request])) for request in wanted):
        return _against(profile, "every register says 0")
    shown = [name for name in (*VOLTAGES, *CURRENTS) if name in good][:2]
    said += [f"{name} is {_shown(good[name])}" for name in shown]
    evidence = f"{', '.join(dict.fromkeys(said))}; {len(good)} values, all of them possible"
    return Fit(profile=profile.id, title=profile.title, evidence=evidence, values=len(good))


def _ask(request: Request, known: dict[Request, Answer | Miss]) -> _Outcome:
    if request not in known:
        if len(known) >= MOST_READS:
            return Miss(
                cause=MissCause.CANCELLED,
                sent_s=0.0,
                received_s=0.0,
                detail=f"not asked, {MOST_READS} reads were enough",
            )
        known[request] = yield request
    return known[request]


def _unlikely(named: tuple[str, Value]) -> str | None:
    name, value = named
    if isinstance(value, Bad):
        return None if value.absent else str(value)
    least, most = _LIKELY.get(name, (-float("inf"), float("inf")))
    if isinstance(value, float) and value != 0.0 and not least <= value <= most:
        return f"{name} would be {value:g}"
    return None


def _words(outcome: Answer | Miss) -> tuple[int, ...]:
    return outcome.words if isinstance(outcome, Answer) else ()


def _is_silence(miss: Miss) -> bool:
    if miss.cause is MissCause.EXCEPTION:
        return miss.exception_code in _GATEWAY
    return miss.cause is not MissCause.GARBLED


def _where(batch: ReadBatch) -> str:
    request = batch.request
    return f"register {request.address} (function {int(request.function)})"


def _shown(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _against(profile: Profile, why: str) -> Fit:
    return Fit(profile=profile.id, title=profile.title, evidence="", values=0, against=why)
