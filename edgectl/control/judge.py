"""What the meters mean: the base load beside the EVSEs, and how far it may be believed.

Theory: a meter sees base load and EVSEs together, and they are never read at the same moment. Each
EVSE is therefore taken as an interval that surely holds its current at the meter's moment: from its
last reading before to its first reading after. The base moves only as far as needed to agree with
meter and intervals (S4).

1. While an EVSE's reading after the meter's moment is not there yet, its interval reaches from 0 to
   what it is committed to: the account (base plus committed) is then still never below the meter.
2. A sample settles (becomes part of the state) once every interval is closed, or when it goes
   stale; open ones are judged anew at every tick, in their order, from the last settled base.
3. A base grows with age and never falls while it is stale (S6); a node without a meter has the sum
   of what hangs below it and its own worst case (S7). A meter that sees base load alone gives it as
   it stands.
4. A frozen value gives no base, and is as old as its first appearance (S5).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf, isfinite, sqrt

from edgectl.clock import Instant
from edgectl.control.account import Commitment
from edgectl.control.curved import base_above, primary_a, va_of_groups
from edgectl.control.drawn import Drawn, Shown
from edgectl.control.frozen import is_frozen, run_after
from edgectl.control.layout import Layout
from edgectl.control.sums import total
from edgectl.model.reading import (
    FRESH_POLLS,
    FROZEN_S,
    POSSIBLE_A,
    STALE_S,
    MeterSample,
    Quality,
    quality_at,
)
from edgectl.model.rules import Rules
from edgectl.model.site import Meter, Sees
from edgectl.model.snapshot import MeterView, Snapshot
from edgectl.model.state import BaseState, State
from edgectl.units import MeterId, OptionalTriple, Triple

STALE_VOLTAGE_SHARE = 1.10
PLAUSIBLE_VOLTAGE = (0.5, 1.5)


@dataclass(frozen=True, slots=True)
class Implied:
    """The apparent power, and the currents of the transformer's primary lines if there is one."""

    va: float
    primary_a: OptionalTriple


@dataclass(frozen=True, slots=True)
class NodeJudgement:
    """One node's base load, per site phase.

    `base_a`: what counts. `guard_a`: the highest base that the newest readings allow; a raise must
    fit it too, so that no raise rests on a doubt. `direct_a`: the base that the newest meter value
    proves by itself, None where there is no fresh one (S15). `meter_a`: the newest signed meter
    current. `frozen`: its meter repeats a value that cannot be true any more (S5). `implied`: what
    that value means beyond its own lines, where currents are phasors.
    """

    base_a: Triple
    guard_a: Triple
    direct_a: OptionalTriple
    meter_a: OptionalTriple
    voltage_v: Triple
    quality: Quality
    frozen: bool = False
    implied: Implied | None = None


def judge(  # noqa: PLR0917 - the six things that a judgement rests on, each of its own type
    snapshot: Snapshot,
    layout: Layout,
    commitments: tuple[Commitment, ...],
    state: State,
    now: Instant,
    rules: Rules,
) -> tuple[tuple[NodeJudgement, ...], dict[MeterId, BaseState]]:
    """Every node's base load, in the site's order, and what of it is settled."""
    judged: list[NodeJudgement | None] = [None] * len(layout.parent)
    settled: dict[MeterId, BaseState] = {}
    voltage_v = _voltages(snapshot, layout, now)
    watches = [
        None
        if meter is None
        else _watch(
            meter,
            snapshot.meters.get(meter.id),
            state.meters.get(meter.id),
            layout.nominal_v[n],
            rules,
        )
        for n, meter in enumerate(layout.meter)
    ]
    back_to_s = [
        min((w.back_to_s for up in path if (w := watches[up]) is not None), default=inf)
        for path in layout.up
    ]
    drawn = Drawn(layout, commitments, snapshot.evses, back_to_s, s4_base=rules.s4_base)
    for n in reversed(range(len(layout.parent))):
        below = {c: child for c in layout.children[n] if (child := judged[c]) is not None}
        fallback_a = _sum_below(layout, n, {c: child.base_a for c, child in below.items()})
        watch = watches[n]
        if watch is None:
            judged[n] = NodeJudgement(
                base_a=fallback_a,
                guard_a=_sum_below(layout, n, {c: child.guard_a for c, child in below.items()}),
                direct_a=_NONE,
                meter_a=_NONE,
                voltage_v=voltage_v[n],
                quality=_worst_quality(list(below.values())),
            )
            continue
        judged[n], base = _judge_metered(
            watch,
            drawn,
            n,
            now_s=now.mono_s,
            rules=rules,
            first_a=layout.base_worst_a[n],
            fallback_a=fallback_a,
            voltage_v=voltage_v[n],
            turns=layout.turns[n],
        )
        if base is not None:
            settled[watch.meter.id] = base
    return tuple(node for node in judged if node is not None), settled


def signed_a(sample: MeterSample, p: int, nominal_v: float) -> float | None:
    """S3: a phase's current, signed by its active power; None where it is not data (S2)."""
    current_a, power_w, voltage_v = sample.current_a[p], sample.power_w[p], sample.voltage_v[p]
    if current_a is None or not abs(current_a) <= POSSIBLE_A:
        return None
    if power_w is None or not isfinite(power_w) or power_w >= 0:
        return current_a
    if voltage_v is None or not _plausible(voltage_v, nominal_v):
        voltage_v = nominal_v
    active_a = power_w / voltage_v
    if not abs(active_a) <= POSSIBLE_A:
        return None
    return active_a + sqrt(max(0.0, current_a * current_a - active_a * active_a))


@dataclass(frozen=True, slots=True)
class _Watch:
    """One meter at one tick. `trusted`: its samples that count, with signed currents, oldest first.

    Those are the ones not settled yet, or the newest one when all are; none while it never said
    anything that is data.
    """

    meter: Meter
    before: BaseState | None
    trusted: tuple[tuple[MeterSample, Triple], ...]

    @property
    def back_to_s(self) -> float:
        """When the first window begins."""
        return self.trusted[0][0].taken_s - self.meter.refresh_s if self.trusted else inf


def _watch(
    meter: Meter, view: MeterView | None, before: BaseState | None, nominal_v: float, rules: Rules
) -> _Watch:
    upto_s = float("-inf") if before is None else before.upto_s
    newest_first: list[tuple[MeterSample, Triple]] = []
    for sample in reversed(view.samples if view else ()):
        if newest_first and sample.taken_s <= upto_s:
            break
        signed = _signed_triple(sample, meter, nominal_v, rules)
        if signed is not None:
            newest_first.append((sample, signed))
    return _Watch(meter=meter, before=before, trusted=tuple(reversed(newest_first)))


def _judge_metered(
    watch: _Watch,
    drawn: Drawn,
    n: int,
    *,
    now_s: float,
    rules: Rules,
    first_a: Triple,
    fallback_a: Triple,
    voltage_v: Triple,
    turns: float | None,
) -> tuple[NodeJudgement, BaseState | None]:
    meter, before = watch.meter, watch.before
    if not watch.trusted:
        missing = NodeJudgement(
            base_a=_greater(first_a, fallback_a),
            guard_a=_greater(first_a, fallback_a),
            direct_a=(None, None, None),
            meter_a=(None, None, None),
            voltage_v=voltage_v,
            quality=Quality.BAD,
        )
        if before is None:
            return missing, None
        aged_a = _greater(before.base_a, fallback_a)
        return replace(missing, base_a=aged_a, guard_a=aged_a), before
    newest, newest_a = watch.trusted[-1]
    settled = before or BaseState(base_a=first_a, upto_s=float("-inf"))
    if meter.sees is Sees.BASE_ONLY and rules.s7_sees:
        settled = BaseState(base_a=newest_a, upto_s=newest.taken_s)
        present_a = newest_a
    else:
        settled, present_a = _fold(
            watch, drawn, n, settled, first_a=first_a, s5_frozen=rules.s5_frozen
        )
    run = settled.run
    frozen = is_frozen(run, newest_a)
    first_s = run.since_s if frozen and run is not None else newest.taken_s
    taken_s = first_s if rules.s1_age else now_s
    age_s = now_s - taken_s
    fresh_s = FRESH_POLLS * meter.poll_s
    fresh = age_s <= fresh_s
    if not fresh:
        settled = BaseState(base_a=present_a, upto_s=newest.taken_s, run=run)
    wired = [p - 1 for p in meter.phases]
    sees_all = meter.sees is Sees.ALL or not rules.s7_sees
    shown = Shown(newest_a, newest_a)
    if sees_all:
        shown = drawn.shown(n, newest.taken_s - meter.refresh_s, newest.taken_s, newest_a)
    base3 = _only_of(present_a, fallback_a, wired)
    if rules.s6_ageing and not fresh:
        base3 = _aged(base3, fallback_a, age_s=age_s, fresh_s=fresh_s)
    return (
        NodeJudgement(
            base_a=base3,
            guard_a=_greater(base3, shown.latest_a) if fresh else base3,
            direct_a=_only(shown.direct_a, wired) if fresh else _NONE,
            meter_a=_only(newest_a, wired) if fresh and sees_all else _NONE,
            voltage_v=voltage_v,
            quality=Quality.BAD
            if frozen and age_s >= FROZEN_S
            else quality_at(age_s, poll_s=meter.poll_s),
            frozen=frozen and age_s >= FROZEN_S,
            implied=_implied(shown, voltage_v, turns) if fresh else None,
        ),
        settled,
    )


_NONE: OptionalTriple = (None, None, None)


def _implied(shown: Shown, voltage_v: Triple, turns: float | None) -> Implied | None:
    if shown.groups is None:
        return None
    base_a, v = shown.direct_a, voltage_v
    va = v[0] * base_a[0] + v[1] * base_a[1] + v[2] * base_a[2]
    return Implied(
        va=va + va_of_groups(shown.groups, v),
        primary_a=_NONE if turns is None else primary_a(base_a, shown.groups, turns),
    )


def _fold(
    watch: _Watch,
    drawn: Drawn,
    n: int,
    settled: BaseState,
    *,
    first_a: Triple,
    s5_frozen: bool,
) -> tuple[BaseState, Triple]:
    """Move the base through every sample that is not settled yet, oldest first.

    After a frozen value it begins anew: before anybody knew, the base followed that value.

    Gives the base as it is settled, up to the first sample with an open interval, and the present
    one, after all samples: an open one bounds it too, and is judged again when more is known.
    """
    base_a, open_yet, run = settled.base_a, False, settled.run
    for sample, signed in watch.trusted:
        taken_s = sample.taken_s
        if taken_s <= settled.upto_s:
            continue
        if is_frozen(run, signed):
            if not open_yet:
                settled = BaseState(base_a=base_a, upto_s=taken_s, run=run)
            continue
        if run is not None and run.frozen:
            base_a = _greater(base_a, first_a)
        after_a = drawn.while_open(n, taken_s, signed, base_a)
        if after_a is not None:
            base_a, open_yet = after_a, True
            continue
        bounds = drawn.bounds(n, taken_s - watch.meter.refresh_s, taken_s)
        open_yet = open_yet or not bounds.closed
        if s5_frozen and not open_yet:
            run = run_after(run, signed, taken_s, bounds)
        if not is_frozen(run, signed):
            base_a = _clamp3(base_a, *bounds.base_between_a(signed))
        if not open_yet:
            settled = BaseState(base_a=base_a, upto_s=taken_s, run=run)
    return settled, base_a


def _signed_triple(
    sample: MeterSample, meter: Meter, nominal_v: float, rules: Rules
) -> Triple | None:
    """All phases that the meter is wired to, or None when one of them is no data (S2)."""
    out = [0.0, 0.0, 0.0]
    for phase in meter.phases:
        p = phase - 1
        value = signed_a(sample, p, nominal_v) if rules.s3_sign else sample.current_a[p]
        if value is None and not rules.s2_implausible:
            value = 0.0
        if value is None:
            return None
        out[p] = value
    return (out[0], out[1], out[2])


def _aged(base_a: Triple, fallback_a: Triple, *, age_s: float, fresh_s: float) -> Triple:
    """S6: from the last trusted base in a straight line to the worst case at `STALE_S`."""
    share = 1.0 if age_s >= STALE_S else (age_s - fresh_s) / (STALE_S - fresh_s)
    aged = [
        base + share * max(0.0, worst - base)
        for base, worst in zip(base_a, fallback_a, strict=True)
    ]
    return (aged[0], aged[1], aged[2])


def _sum_below(layout: Layout, n: int, bases: Mapping[int, Triple]) -> Triple:
    """S7: the present bases of the nodes below and this node's own worst case.

    What comes through a transformer is in amperes of its primary side.
    """
    own = layout.site.nodes[n].base_max_a
    children = [
        base if (turns := layout.turns[c]) is None else base_above(base, turns)
        for c, base in bases.items()
    ]
    return (
        own[0] + total(child[0] for child in children),
        own[1] + total(child[1] for child in children),
        own[2] + total(child[2] for child in children),
    )


def _voltages(snapshot: Snapshot, layout: Layout, now: Instant) -> list[Triple]:
    """Per node, for VA rows: as the nearest meter upwards measures it, else nominal x 1.10.

    A transformer's other side says nothing of this one: it has taps.
    """
    out: list[Triple] = []
    for n, above in enumerate(layout.parent):
        nominal_v = layout.nominal_v[n]
        stale_v = nominal_v * STALE_VOLTAGE_SHARE
        inherited = (stale_v, stale_v, stale_v)
        if above >= 0 and layout.turns[n] is None:
            inherited = out[above]
        meter = layout.meter[n]
        view = snapshot.meters.get(meter.id) if meter is not None else None
        newest = view.samples[-1] if view is not None and view.samples else None
        if (
            meter is None
            or newest is None
            or (now.mono_s - newest.taken_s > FRESH_POLLS * meter.poll_s)
        ):
            out.append(inherited)
            continue
        values = [
            v
            if (v := newest.voltage_v[p]) is not None and _plausible(v, nominal_v)
            else inherited[p]
            for p in range(3)
        ]
        out.append((values[0], values[1], values[2]))
    return out


def _plausible(voltage_v: float, nominal_v: float) -> bool:
    low, high = PLAUSIBLE_VOLTAGE
    return isfinite(voltage_v) and low * nominal_v <= voltage_v <= high * nominal_v


def _worst_quality(nodes: list[NodeJudgement]) -> Quality:
    if not nodes or any(node.quality is Quality.BAD for node in nodes):
        return Quality.BAD
    if any(node.quality is Quality.STALE for node in nodes):
        return Quality.STALE
    return Quality.GOOD


def _clamp3(values: Triple, least: Triple, greatest: Triple) -> Triple:
    return (
        max(least[0], min(values[0], greatest[0])),
        max(least[1], min(values[1], greatest[1])),
        max(least[2], min(values[2], greatest[2])),
    )


def _only_of(values: Triple, others: Triple, wired: list[int]) -> Triple:
    return (
        values[0] if 0 in wired else others[0],
        values[1] if 1 in wired else others[1],
        values[2] if 2 in wired else others[2],
    )


def _greater(one: Triple, other: Triple) -> Triple:
    return (max(one[0], other[0]), max(one[1], other[1]), max(one[2], other[2]))


def _only(values: Triple, wired: list[int]) -> OptionalTriple:
    return (
        values[0] if 0 in wired else None,
        values[1] if 1 in wired else None,
        values[2] if 2 in wired else None,
    )
