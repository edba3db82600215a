"""A tiny depot for scenario tables: one grid node, equal EVSEs, readings put in by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from edgectl.clock import Instant
from edgectl.control.situation import Situation
from edgectl.control.step import step, survey
from edgectl.model.ceiling import TimedCeiling
from edgectl.model.decision import Decision
from edgectl.model.reading import EvseSample, MeterSample, VehicleState
from edgectl.model.rules import Rules
from edgectl.model.site import (
    ChargerTraits,
    Evse,
    KeepAlive,
    Link,
    LinkKind,
    Meter,
    Mode,
    Node,
    Site,
)
from edgectl.model.snapshot import Confirmed, EvseView, KeptTurn, MeterView, Sent, Snapshot
from edgectl.model.state import State
from edgectl.model.target import ChargeTarget
from edgectl.units import EvseId, LinkId, MeterId, NodeId, OptionalTriple, Triple

GRID = NodeId("grid")
M_GRID = MeterId("m-grid")
UTC0_S = 1_800_000_000.0

TRAITS = ChargerTraits(
    hardware_max_a=32.0,
    min_a=6.0,
    step_a=0.0,
    keepalive=KeepAlive.REWRITE,
    watchdog_s=60.0,
    failsafe_a=6.0,
    boot_a=32.0,
    refresh_s=0.0,
    poll_s=1.0,
)


def evse(n: int, **changes: object) -> Evse:
    made = Evse(
        id=EvseId(f"e{n}"),
        node=GRID,
        profile="test",
        link=LinkId("lan"),
        unit=n,
        connector=1,
        phases=(1,),
        max_a=32.0,
        traits=TRAITS,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def site(
    *,
    evses: Sequence[Evse],
    nodes: Sequence[Node] | None = None,
    meters: Sequence[Meter] | None = None,
    limit_a: OptionalTriple = (100.0, 100.0, 100.0),
    base_max_a: Triple = (60.0, 60.0, 60.0),
    margin_a: float | None = 2.0,
) -> Site:
    if nodes is None:
        nodes = [
            Node(id=GRID, parent=None, limit_a=limit_a, base_max_a=base_max_a, margin_a=margin_a)
        ]
    if meters is None:
        meters = [
            Meter(
                id=M_GRID,
                node=GRID,
                profile="test",
                link=LinkId("lan"),
                unit=99,
                poll_s=1.0,
                refresh_s=0.0,
            )
        ]
    return Site(
        id="depot",
        region="test",
        timezone="UTC",
        voltage_v=230.0,
        mode=Mode.CONTROL,
        nodes=tuple(nodes),
        meters=tuple(meters),
        evses=tuple(evses),
        links=(Link(id=LinkId("lan"), kind=LinkKind.TCP, host="127.0.0.1", port=502),),
    )


@dataclass
class World:
    """Holds views and state between steps; every method says what happens at the present moment."""

    site: Site
    now_s: float = 1000.0
    utc_trusted: bool = True
    rules: Rules = field(default_factory=Rules)
    state: State = field(default_factory=State)
    meters: dict[MeterId, MeterView] = field(default_factory=dict)
    evses: dict[EvseId, EvseView] = field(default_factory=dict)
    ceilings: tuple[TimedCeiling, ...] = ()
    isolated: tuple[EvseId, ...] = ()
    targets: tuple[ChargeTarget, ...] = ()
    queue: tuple[KeptTurn, ...] = ()

    def meter(
        self,
        *current_a: float | None,
        meter: MeterId = M_GRID,
        power_w: OptionalTriple = (None, None, None),
        voltage_v: OptionalTriple = (None, None, None),
        taken_s: float | None = None,
    ) -> None:
        values = (*current_a, 0.0, 0.0)[:3]
        sample = MeterSample(
            taken_s=self.now_s if taken_s is None else taken_s,
            current_a=(values[0], values[1], values[2]),
            power_w=power_w,
            voltage_v=voltage_v,
        )
        old = self.meters.get(meter, MeterView()).samples
        self.meters[meter] = MeterView(samples=(*old, sample)[-32:])

    def reads(
        self,
        name: str,
        current_a: float,
        *,
        taken_s: float | None = None,
        phases: Sequence[int] = (1, 2, 3),
    ) -> None:
        """The charger answers and reports `current_a` on those of `phases` that it is wired to."""
        taken_s = self.now_s if taken_s is None else taken_s
        view = self._view(name)
        wired = next(e for e in self.site.evses if e.id == name).phases
        one, two, three = (
            None if p not in wired else current_a if p in phases else 0.0 for p in (1, 2, 3)
        )
        self._put(
            name,
            replace(
                view,
                samples=(*view.samples, EvseSample(taken_s, (one, two, three)))[-32:],
                last_answer_s=taken_s,
                vehicle=view.vehicle
                if view.vehicle is not VehicleState.UNKNOWN
                else VehicleState.CHARGING,
            ),
        )

    def answers(self, name: str) -> None:
        """The charger answers without a current (an unmetered one)."""
        self._put(
            name,
            replace(self._view(name), last_answer_s=self.now_s, vehicle=VehicleState.CHARGING),
        )

    def sends(self, name: str, value_a: float) -> None:
        view = self._view(name)
        self._put(
            name,
            replace(view, sent=(*view.sent, Sent(value_a, self.now_s)), last_feed_s=self.now_s),
        )

    def confirms(self, name: str) -> None:
        view = self._view(name)
        last = view.sent[-1]
        self._put(
            name,
            replace(
                view,
                sent=(),
                confirmed=Confirmed(last.value_a, last.sent_s, self.now_s),
                last_answer_s=self.now_s,
            ),
        )

    def vehicle(self, name: str, state: VehicleState) -> None:
        self._put(name, replace(self._view(name), vehicle=state))

    def silent(self, name: str) -> EvseView:
        return self._view(name)

    def settle(self, base_a: float, setpoints_a: dict[str, float], *, ticks: int = 18) -> Decision:
        """Every vehicle draws its setpoint and every reading agrees, for some ticks."""
        for name, value_a in setpoints_a.items():
            self.sends(name, value_a)
            self.confirms(name)
        decision = None
        for _ in range(ticks):
            self.wait(1.0)
            decision = self.everything(base_a, setpoints_a)
        assert decision is not None
        return decision

    def everything(self, base_a: float, drawn_a: dict[str, float]) -> Decision:
        """All devices answer in one moment, on L1, and one step follows."""
        for name, value_a in drawn_a.items():
            self.reads(name, value_a)
        self.meter(base_a + sum(drawn_a.values()))
        return self.step()

    def obey(self, decision: Decision) -> None:
        """Every reachable charger takes its setpoint at once."""
        for name, one in decision.evses.items():
            view = self._view(name)
            in_force = view.confirmed.value_a if view.confirmed else None
            if not one.silent and one.setpoint_a != in_force:
                self.sends(name, one.setpoint_a)
                self.confirms(name)

    def live(
        self,
        seconds: float,
        base_a: float = 0.0,
        *,
        pace_s: float = 5.0,
        most_a: Mapping[str, float] | None = None,
    ) -> Decision:
        """Some time passes in which every vehicle draws what its charger was told last.

        `most_a`: those that draw no more than so much.
        """
        most = {} if most_a is None else most_a
        decision = None
        for _ in range(max(1, round(seconds / pace_s))):
            self.wait(pace_s)
            drawn_a = {
                str(one.id): min(
                    view.confirmed.value_a if view.confirmed else 0.0, most.get(one.id, inf)
                )
                for one in self.site.evses
                if (view := self._view(one.id)).vehicle is not VehicleState.ABSENT
            }
            decision = self.everything(base_a, drawn_a)
            self.obey(decision)
        assert decision is not None
        return decision

    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    def instant(self) -> Instant:
        return Instant(mono_s=self.now_s, utc_s=UTC0_S + self.now_s, utc_trusted=self.utc_trusted)

    def snapshot(self) -> Snapshot:
        return Snapshot(
            site=self.site,
            meters=dict(self.meters),
            evses=dict(self.evses),
            ceilings=self.ceilings,
            isolated=self.isolated,
            targets=self.targets,
            queue=self.queue if self.state.started_s is None else (),
        )

    def restarts(self) -> None:
        """The next daemon: it has heard nobody, and remembers the queue that was kept."""
        self.queue = tuple(
            KeptTurn(
                evse=id_,
                asked_s=known.asked_s,
                admitted_s=known.admitted_s,
                stopped_s=known.stopped_s,
                displaced=known.displaced,
                energy_from_wh=known.energy_from_wh,
            )
            for id_, known in self.state.evses.items()
        )
        self.state = State()
        self.meters.clear()
        self.evses.clear()

    def step(self) -> Decision:
        decision, self.state = step(self.snapshot(), self.state, self.instant(), self.rules)
        return decision

    def situation(self) -> Situation:
        """The ground of the next decision, as the step makes it."""
        situation, _ = survey(self.snapshot(), self.state, self.instant(), self.rules)
        return situation

    def _view(self, name: str) -> EvseView:
        return self.evses.get(EvseId(name), EvseView())

    def _put(self, name: str, view: EvseView) -> None:
        self.evses[EvseId(name)] = view


def setpoints(decision: Decision) -> dict[str, float]:
    return {str(name): one.setpoint_a for name, one in decision.evses.items()}
