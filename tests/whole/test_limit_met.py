"""A mandatory import limit at a full site with link faults: met before its interval begins.

Judged by the true power of the simulated depot. Every seed has its own vehicles, phases, base load,
limit and faults: links that fall silent, are slow or garble, a silent meter, before, during and
after the ramp, some until the end. A charger that reboots is a step that nobody foresees (S11) and
no fault of a link: it is not among them. The limit is never below what the chargers'
failsafe currents and the base load take, for below that nobody can go who hears nothing.
"""

import asyncio
import random
from dataclasses import dataclass, replace

import pytest

from edgectl.simulator import virtual_time
from edgectl.simulator.depot import Scenario
from edgectl.simulator.faults import Fault, FaultKind
from edgectl.units import NodeId, Triple
from tests.field.yard import GRID, Bay, Place, limit_event, physics_s, stay, told, yard
from tests.whole.harness import Whole, build

SEEDS = 200
CHUNKS = 8
BASE_A = 6.0
FAILSAFE_A = 6.0
START_S = 50.0
END_S = 58.0
LOOK_S = 0.25
TOLERANCE = 1.01
SITE = yard(
    Bay(id="c", watchdog_s=5.0),
    Bay(id="k", kind="keba", watchdog_s=5.0),
    Bay(id="w", kind="webasto", watchdog_s=5.0),
    nodes=[Place(limit_a=(120.0,) * 3, base_max_a=(BASE_A,) * 3)],
)
BAYS = ("c", "k", "w")
LEAST_W = (len(BAYS) * FAILSAFE_A + BASE_A) * 690.0
FULL_W = (len(BAYS) * 32.0) * 690.0
KINDS = (
    FaultKind.CHARGER_SILENT,
    FaultKind.CHARGER_SILENT,
    FaultKind.SLOW_REPLIES,
    FaultKind.GARBLED,
    FaultKind.METER_SILENT,
)


@dataclass(frozen=True)
class Outcome:
    seed: int
    limit_w: float
    before_ramp_w: float
    at_start_w: float
    over_s: float
    states: tuple[str, ...]
    safe: bool

    def fault(self) -> str | None:
        """What is not as it must be."""
        if self.before_ramp_w < 0.6 * FULL_W:
            return "the site was not full before the ramp"
        if self.at_start_w > self.limit_w * TOLERANCE:
            return "not met when the interval began"
        if self.over_s > physics_s(SITE):
            return "exceeded for longer than physics allows"
        if self.states[:2] != ("received", "accepted"):
            return "not answered"
        return "the step contradicted itself" if self.safe else None


def faults_of(rng: random.Random) -> list[Fault]:
    faults = []
    for _ in range(rng.randint(1, 3)):
        kind = rng.choice(KINDS)
        # Not before all have charged: a charger that was never heard would take all the room.
        at_s = rng.uniform(17.0, START_S)
        until_s = None if rng.random() < 0.4 else at_s + rng.uniform(1.0, 30.0)
        name = "m-grid" if kind is FaultKind.METER_SILENT else rng.choice(BAYS)
        delay_s = rng.uniform(0.3, 2.0) if kind is FaultKind.SLOW_REPLIES else 0.0
        faults.append(Fault(kind=kind, id=name, at_s=at_s, until_s=until_s, delay_s=delay_s))
    if rng.random() < 0.2:  # every link at once, the worst that can be
        at_s = rng.uniform(17.0, START_S)
        faults = [Fault(kind=FaultKind.CHARGER_SILENT, id=bay, at_s=at_s) for bay in BAYS]
    return faults


async def run(seed: int) -> Outcome:
    rng = random.Random(seed)
    base_a = rng.uniform(0.0, BASE_A)
    step = Fault(kind=FaultKind.BASE_STEP, id=GRID, at_s=0.0, add_a=(base_a,) * 3)
    scenario = Scenario(sessions=tuple(stay(bay) for bay in BAYS), faults=(step, *faults_of(rng)))
    limit_w = rng.uniform(LEAST_W, 0.6 * FULL_W)
    whole = build(SITE, seed=seed, scenario=lambda _: scenario)
    async with asyncio.TaskGroup() as group:
        daemon = group.create_task(whole.daemon.run())
        whole.daemon.tick.observe(whole.records.append)
        await whole.until(2.0)
        limit_event(whole, kw=limit_w / 1000.0, from_s=START_S - 2.0, duration="PT10M")
        before_w = 0.0
        for second in (15.0, 16.0, 17.0):
            await whole.until(second)
            before_w = max(before_w, true_w(whole))
        await whole.until(START_S)
        at_start_w = true_w(whole)
        longest = length = 0
        while whole.clock.monotonic_s() < END_S:
            length = length + 1 if true_w(whole) > limit_w * TOLERANCE else 0
            longest = max(longest, length)
            await whole.until(whole.clock.monotonic_s() + LOOK_S)
        whole.daemon.stop()
        await daemon
    return Outcome(
        seed=seed,
        limit_w=limit_w,
        before_ramp_w=before_w,
        at_start_w=at_start_w,
        over_s=longest * LOOK_S,
        states=tuple(body["state"] for body in told(whole, "dr/response")),
        safe=any(record.decision.safe for record in whole.records),
    )


def true_w(whole: Whole) -> float:
    current_a: Triple = whole.depot.true_current_a(NodeId(GRID))
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


@pytest.mark.parametrize(
    "spoiled",
    [
        {"before_ramp_w": 0.0},
        {"at_start_w": 40_001.0 * TOLERANCE},
        {"over_s": 60.0},
        {"states": ()},
        {"safe": True},
    ],
)
def test_the_judge_can_say_no(spoiled: dict[str, object]) -> None:
    good = Outcome(
        seed=0,
        limit_w=40_000.0,
        before_ramp_w=FULL_W,
        at_start_w=40_000.0,
        over_s=0.0,
        states=("received", "accepted"),
        safe=False,
    )
    assert good.fault() is None
    assert replace(good, **spoiled).fault() is not None  # type: ignore[arg-type]
