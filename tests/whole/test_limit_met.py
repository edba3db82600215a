"""A mandatory import limit at a full site with faults: met before its interval begins.

Judged by the true power of the simulated depot. Every seed has its own vehicles, phases, base load,
limit and faults: links that fall silent, are slow or garble, a silent meter, chargers that reboot,
before, during and after the ramp, some until the end. The limit is never below what the chargers'
failsafe currents and the base load take, for below that nobody can go who hears nothing.

A charger that comes back by itself with its boot current is a step that nobody foresees, where a
meter sees it (S11). Then, and only for what it draws, S20 says how long the limit may be exceeded.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from edgectl.simulator import virtual_time
from edgectl.simulator.allowance import Allowance, allowance
from edgectl.simulator.demo.demo_site import link_facts
from edgectl.simulator.depot import Scenario
from edgectl.simulator.faults import Fault, FaultKind
from edgectl.sitefile.load import LoadedSite
from edgectl.units import EvseId, Triple
from tests.field.yard import GRID, Bay, Place, limit_event, stay, told, yard
from tests.whole.harness import Whole, build

SEEDS = 200
CHUNKS = 8
BASE_A = 6.0
FAILSAFE_A = 6.0
BEGIN_S = 17.0
START_S = 50.0
END_S = 92.0
LOOK_S = 0.25
TOLERANCE = 1.01


def _site(boot_a: float) -> LoadedSite:
    return yard(
        Bay(id="c", watchdog_s=5.0, boot_a=boot_a),
        Bay(id="k", kind="keba", watchdog_s=5.0, boot_a=boot_a),
        Bay(id="w", kind="webasto", watchdog_s=5.0, boot_a=boot_a),
        nodes=[Place(limit_a=(120.0,) * 3, base_max_a=(BASE_A,) * 3)],
    )


SITE = _site(boot_a=6.0)
HIGH_A = 32.0
HIGH_BOOT = _site(boot_a=HIGH_A)
BAYS = ("c", "k", "w")
LEAST_W = (len(BAYS) * FAILSAFE_A + BASE_A) * 690.0
FULL_W = (len(BAYS) * 32.0) * 690.0
KINDS = (
    FaultKind.CHARGER_SILENT,
    FaultKind.CHARGER_SILENT,
    FaultKind.SLOW_REPLIES,
    FaultKind.GARBLED,
    FaultKind.REBOOT,
    FaultKind.METER_SILENT,
)
SEEN = tuple(kind for kind in KINDS if kind is not FaultKind.METER_SILENT)


@dataclass(frozen=True)
class Over:
    """A time above the limit that reaches into the interval, with what S20 allows.

    `back_s`: when a charger that had rebooted began to draw, last before the interval or before the
    excess; `beside_w`: the most that was drawn beside such chargers.
    """

    from_s: float
    until_s: float
    allowed_s: float
    back_s: float | None
    beside_w: float

    def fault(self, limit_w: float) -> str | None:
        """Why it may not be."""
        from_s = self.from_s
        if from_s <= START_S:
            if self.back_s is None or self.beside_w > limit_w * TOLERANCE:
                return "not met when the interval began"
            from_s = max(from_s, self.back_s)
        if self.until_s - from_s > self.allowed_s:
            return "exceeded for longer than physics allows"
        return None


@dataclass(frozen=True)
class Outcome:
    seed: int
    limit_w: float
    before_ramp_w: float
    overs: tuple[Over, ...]
    states: tuple[str, ...]
    safe: bool

    def fault(self) -> str | None:
        """What is not as it must be."""
        if self.before_ramp_w < 0.6 * FULL_W:
            return "the site was not full before the ramp"
        for over in self.overs:
            if (fault := over.fault(self.limit_w)) is not None:
                return fault
        if self.states[:2] != ("received", "accepted"):
            return "not answered"
        return "the step contradicted itself" if self.safe else None


def faults_of(rng: random.Random, kinds: Sequence[FaultKind] = KINDS) -> list[Fault]:
    faults = []
    for _ in range(rng.randint(1, 3)):
        kind = rng.choice(kinds)
        # Not before all have charged: a charger that was never heard would take all the room.
        at_s = rng.uniform(BEGIN_S, START_S)
        until_s = None if rng.random() < 0.4 else at_s + rng.uniform(1.0, 30.0)
        name = "m-grid" if kind is FaultKind.METER_SILENT else rng.choice(BAYS)
        delay_s = rng.uniform(0.3, 2.0) if kind is FaultKind.SLOW_REPLIES else 0.0
        faults.append(Fault(kind=kind, id=name, at_s=at_s, until_s=until_s, delay_s=delay_s))
    if rng.random() < 0.2:  # every link at once, the worst that can be
        at_s = rng.uniform(BEGIN_S, START_S)
        faults = [Fault(kind=FaultKind.CHARGER_SILENT, id=bay, at_s=at_s) for bay in BAYS]
    return faults


def often_rebooting(rng: random.Random) -> list[Fault]:
    """One charger reboots, once or more; the meter sees it, whatever it boots with."""
    faults = faults_of(rng, (*SEEN, FaultKind.REBOOT, FaultKind.REBOOT))
    bay = rng.choice(BAYS)
    return [replace(one, id=bay) if one.kind is FaultKind.REBOOT else one for one in faults]


@dataclass
class Watch:
    """Looks at the true power from before the ramp on, and notes what reaches into the interval."""

    whole: Whole
    limit_w: float
    reboots: Sequence[Fault]
    back: dict[str, float] = field(default_factory=dict)
    since_s: float | None = None
    at_start: tuple[float | None, float] | None = None
    spans: list[tuple[float, float, float | None, float]] = field(default_factory=list)

    def look(self) -> None:
        now_s = self.whole.clock.monotonic_s()
        for reboot in self.reboots:
            amps = self.whole.depot.evse_truth(EvseId(reboot.id)).current_a
            if amps == 0.0 or now_s < reboot.at_s:
                self.back.pop(reboot.id, None)
            else:
                self.back.setdefault(reboot.id, now_s)
        power_w = true_w(self.whole)
        if now_s == START_S:
            came = {bay: at_s for bay, at_s in self.back.items() if at_s <= START_S}
            drawn_a = sum(self.whole.depot.evse_truth(EvseId(bay)).current_a for bay in came)
            beside_w = power_w - drawn_a * 3 * SITE.site.voltage_v
            self.at_start = (max(came.values(), default=None), beside_w)
        if power_w > self.limit_w * TOLERANCE:
            if self.since_s is None:
                self.since_s = now_s
        else:
            self.end(now_s)

    def end(self, now_s: float) -> None:
        if self.since_s is not None and now_s > START_S:
            back_s, beside_w = self.at_start or (None, 0.0)
            self.spans.append((self.since_s, now_s, back_s, beside_w))
        self.since_s = None

    def overs(self, allowed: Allowance) -> tuple[Over, ...]:
        return tuple(
            Over(from_s, until_s, allowed.during_s(from_s, until_s), back_s, beside_w)
            for from_s, until_s, back_s, beside_w in self.spans
        )


async def run(
    seed: int,
    loaded: LoadedSite = SITE,
    draw: Callable[[random.Random], list[Fault]] = faults_of,
    least_w: float = LEAST_W,
) -> Outcome:
    rng = random.Random(seed)
    base_a = rng.uniform(0.0, BASE_A)
    step = Fault(kind=FaultKind.BASE_STEP, id=GRID, at_s=0.0, add_a=(base_a,) * 3)
    faults = draw(rng)
    scenario = Scenario(sessions=tuple(stay(bay) for bay in BAYS), faults=(step, *faults))
    limit_w = rng.uniform(least_w, 0.6 * FULL_W)
    whole = build(loaded, seed=seed, scenario=lambda _: scenario)
    watch = Watch(whole, limit_w, [one for one in faults if one.kind is FaultKind.REBOOT])
    async with asyncio.TaskGroup() as group:
        daemon = group.create_task(whole.daemon.run())
        whole.daemon.tick.observe(whole.records.append)
        await whole.until(2.0)
        limit_event(whole, kw=limit_w / 1000.0, from_s=START_S - 2.0, duration="PT10M")
        before_w = 0.0
        for second in (15.0, 16.0, BEGIN_S):
            await whole.until(second)
            before_w = max(before_w, true_w(whole))
        for number in range(round((END_S - BEGIN_S) / LOOK_S)):
            await whole.until(BEGIN_S + number * LOOK_S)
            watch.look()
        watch.end(END_S)
        whole.daemon.stop()
        await daemon
    allowed = allowance(
        loaded.site,
        GRID,
        links=link_facts(loaded),
        faults=faults,
        meter_answers_s=whole.depot.trace.meter_answers_s,
    )
    assert allowed is not None
    return Outcome(
        seed=seed,
        limit_w=limit_w,
        before_ramp_w=before_w,
        overs=watch.overs(allowed),
        states=tuple(body["state"] for body in told(whole, "dr/response")),
        safe=any(record.decision.safe for record in whole.records),
    )


def true_w(whole: Whole) -> float:
    current_a: Triple = whole.depot.true_current_a(GRID)
    return sum(current_a) * SITE.site.voltage_v


@pytest.mark.timeout(900)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_mandatory_limit_is_met_before_its_interval_begins(chunk: int, *, prove: bool) -> None:
    count = 1000 if prove else SEEDS
    found = [
        (outcome.fault(), outcome)
        for seed in range(chunk, count, CHUNKS)
        if (outcome := virtual_time.run(run(seed))).fault() is not None
    ]
    assert not found, f"{len(found)} of {count // CHUNKS}: {found[:3]}"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_what_comes_back_with_all_that_it_can_exceeds_it_no_longer_than_physics(
    chunk: int, *, prove: bool
) -> None:
    """Chargers that allow their hardware's maximum after a reboot, which fits beside the base."""
    least_w = LEAST_W + (HIGH_A - FAILSAFE_A) * 690.0
    count = 1000 if prove else SEEDS // 4
    found = [
        (outcome.fault(), outcome)
        for seed in range(chunk, count, CHUNKS)
        if (outcome := virtual_time.run(run(seed, HIGH_BOOT, often_rebooting, least_w))).fault()
        is not None
    ]
    assert not found, f"{len(found)} of {count // CHUNKS}: {found[:3]}"


PATIENT = yard(
    Bay(id="c", watchdog_s=30.0),
    Bay(id="k", kind="keba", watchdog_s=30.0),
    Bay(id="w", kind="webasto", watchdog_s=30.0),
    nodes=[Place(limit_a=(120.0,) * 3, base_max_a=(BASE_A,) * 3)],
)


@pytest.mark.parametrize("silent_s", [39.0, 60.0, 79.0, 84.0, 99.0])
def test_it_is_met_though_every_link_dies_before_or_in_the_ramp(silent_s: float) -> None:
    """Watchdogs of 30 s: a ramp of what chargers need when they answer would begin too late."""

    async def main() -> float:
        dead = tuple(Fault(kind=FaultKind.CHARGER_SILENT, id=b, at_s=silent_s) for b in BAYS)
        scenario = Scenario(sessions=tuple(stay(bay) for bay in BAYS), faults=dead)
        whole = build(PATIENT, scenario=lambda _: scenario)
        async with asyncio.TaskGroup() as group:
            daemon = group.create_task(whole.daemon.run())
            await whole.until(2.0)
            limit_event(whole, kw=LEAST_W / 1000.0, from_s=98.0, duration="PT10M")
            await whole.until(30.0)
            assert true_w(whole) > 0.6 * FULL_W
            await whole.until(100.0)
            at_start_w = true_w(whole)
            whole.daemon.stop()
            await daemon
        return at_start_w

    assert virtual_time.run(main()) <= LEAST_W * TOLERANCE


MISSED = Over(from_s=20.0, until_s=60.0, allowed_s=17.0, back_s=None, beside_w=39_000.0)
CAME_BACK = replace(MISSED, from_s=44.0, back_s=45.0)


@pytest.mark.parametrize(
    "spoiled",
    [
        {"before_ramp_w": 0.0},
        {"overs": (MISSED,)},
        {"overs": (CAME_BACK, replace(CAME_BACK, beside_w=40_000.0 * TOLERANCE + 1.0))},
        {"overs": (replace(CAME_BACK, until_s=62.5),)},
        {"overs": (replace(MISSED, from_s=50.25, until_s=67.5),)},
        {"states": ()},
        {"safe": True},
    ],
)
def test_the_judge_can_say_no(spoiled: dict[str, object]) -> None:
    good = Outcome(
        seed=0,
        limit_w=40_000.0,
        before_ramp_w=FULL_W,
        overs=(CAME_BACK, replace(MISSED, from_s=50.25)),
        states=("received", "accepted"),
        safe=False,
    )
    assert good.fault() is None
    assert replace(good, **spoiled).fault() is not None  # type: ignore[arg-type]
