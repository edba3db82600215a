"""From ticks to rows: samples with their own times, events on change, and an outbox that fails."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from edgectl.clock import Instant
from edgectl.contract.messages import thin
from edgectl.daemon.region.telemetry import Telemetry
from edgectl.model.ceiling import Holder, Rank
from edgectl.model.decision import (
    Alarm,
    AlarmCode,
    Decision,
    EvseDecision,
    NodeDecision,
    Reason,
    ReasonCode,
    Severity,
)
from edgectl.model.reading import EvseSample, MeterSample, Quality, VehicleState
from edgectl.model.record import TickRecord
from edgectl.model.settings import SAMPLING, Sampling, TelemetrySettings
from edgectl.model.snapshot import EvseView, MeterView, Snapshot
from edgectl.model.state import State
from edgectl.model.telemetry import Detail
from edgectl.simulator.memory.outbox import MemoryOutbox
from edgectl.simulator.virtual_time import START_UTC_S, VirtualClock, run
from edgectl.units import EvseId, MeterId, NodeId
from tests.mqtt.site import SITE, memory_outbox

BAY = EvseId("bay01")
OTHER = EvseId("bay02")
METER = MeterId("m-grid")
ALWAYS = TelemetrySettings(sampling=dict.fromkeys(SAMPLING, Sampling()))
LIMIT = Holder(rank=Rank.SAFETY, kind="limit", id="grid")


def a_node(holder: Holder = LIMIT, ceiling_a: float = 400.0) -> NodeDecision:
    return NodeDecision(
        ceiling_a=(ceiling_a, ceiling_a, None),
        ceiling_va=None,
        margin_a=(8.0, 8.0, None),
        margin_va=None,
        base_a=(20.0, 21.0, 22.0),
        base_va=0.0,
        account_a=(30.0, 31.0, 32.0),
        account_va=0.0,
        promise_a=(30.0, 31.0, 32.0),
        promise_va=0.0,
        deficit_a=(0.0, 0.0, 0.0),
        deficit_va=0.0,
        quality=Quality.GOOD,
        holder=holder,
        holder_a=(holder, holder, holder),
        holder_va=holder,
    )


def decided(setpoint_a: float = 16.0, code: ReasonCode = ReasonCode.OWN_MAXIMUM) -> EvseDecision:
    return EvseDecision(
        allocation_a=setpoint_a,
        setpoint_a=setpoint_a,
        committed_a=setpoint_a,
        silent=False,
        reason=Reason(code=code),
    )


@dataclass
class Depot:
    """What the ticks see; a test changes it between them."""

    clock: VirtualClock
    telemetry: Telemetry
    outbox: MemoryOutbox
    alarms: tuple[Alarm, ...] = ()
    evses: dict[EvseId, EvseDecision] = field(
        default_factory=lambda: {BAY: decided(), OTHER: decided()}
    )
    vehicle: VehicleState = VehicleState.ABSENT
    node: NodeDecision = field(default_factory=a_node)
    current_a: Callable[[float], float] = lambda _t: 10.0
    meter_heard: bool = True
    safe: bool = False
    step_utc_s: float = 0.0
    _meter: MeterView = field(default_factory=MeterView)

    async def ticks(self, count: int) -> None:
        for _ in range(count):
            self.telemetry.observe(self.record())
            await self.clock.sleep_until(self.clock.monotonic_s() + 1.0)

    def record(self) -> TickRecord:
        now = self.clock.now()
        now = replace(now, utc_s=now.utc_s + self.step_utc_s)
        if self.meter_heard:
            sample = MeterSample(
                taken_s=now.mono_s - 0.25,
                current_a=(self.current_a(now.mono_s), 5.0, None),
                power_w=(2300.0, -1150.0, None),
                voltage_v=(230.0, 231.0, None),
                energy_import_wh=1000.0 + now.mono_s,
            )
            self._meter = MeterView(samples=(*self._meter.samples[-3:], sample))
        return TickRecord(
            number=1,
            now=now,
            snapshot=Snapshot(
                site=SITE,
                meters={METER: self._meter},
                evses={evse: self._view(now) for evse in (BAY, OTHER)},
            ),
            before=State(),
            state=State(started_s=0.0),
            decision=Decision(
                evses=dict(self.evses),
                nodes={NodeId("grid"): self.node},
                alarms=self.alarms,
                wake_above_a={},
                safe=self.safe,
            ),
            started_utc_s=START_UTC_S,
            tick_p99_ms=1.0,
        )

    def _view(self, now: Instant) -> EvseView:
        sample = EvseSample(taken_s=now.mono_s - 0.5, current_a=(0.0, None, None), power_w=0.0)
        return EvseView(
            samples=(sample,),
            vehicle=self.vehicle,
            last_answer_s=now.mono_s - 0.5,
        )

    async def rows(self, topic: str) -> list[dict[str, Any]]:
        found = await self.outbox.waiting(after_seq=0, upto_seq=1 << 60, limit=1 << 30)
        return [json.loads(one.row.body) for one in found if one.row.topic == topic]

    async def samples(self, id_: str, q: str) -> list[dict[str, Any]]:
        batches = await self.rows("telemetry")
        return [
            one for body in batches for one in body["samples"] if (one["id"], one["q"]) == (id_, q)
        ]

    async def events(self, code: str) -> list[dict[str, Any]]:
        return [event for event in await self.rows("event") if event["code"] == code]


def play(
    script: Callable[[Depot], Awaitable[None]],
    outbox: MemoryOutbox | None = None,
    *,
    settings: TelemetrySettings | None = None,
) -> None:
    async def main() -> None:
        kept = outbox or memory_outbox()
        clock = VirtualClock()
        telemetry = Telemetry(outbox=kept, clock=clock, settings=settings)
        running = asyncio.create_task(telemetry.run())
        try:
            await script(Depot(clock=clock, telemetry=telemetry, outbox=kept))
        finally:
            telemetry.stop()
            await running

    run(main())


def test_an_interval_is_averaged_with_its_extremes_and_the_readings_own_time() -> None:
    async def script(depot: Depot) -> None:
        depot.current_a = lambda t: 10.0 + t % 10
        await depot.ticks(61)
        first, second, *_ = await depot.samples("m-grid", "current_a.1")
        assert first["t"] == "2026-01-01T00:00:09.750Z"
        assert second == {
            "id": "m-grid",
            "q": "current_a.1",
            "t": "2026-01-01T00:00:19.750Z",
            "v": 14.5,
            "min": 10.0,
            "max": 19.0,
            "quality": "good",
        }
        (power, *_) = await depot.samples("m-grid", "power_w")
        assert power["v"] == 1150.0
        (energy,) = await depot.samples("m-grid", "energy_import_wh")
        assert energy["v"] == 1060.0, "a counter is not averaged"
        assert energy.keys() == {"id", "q", "t", "v", "quality"}
        assert await depot.samples("m-grid", "current_a.3") == [], "not measured, not said"
        (setpoint, *_) = await depot.samples("bay01", "setpoint_a")
        assert (setpoint["v"], setpoint["t"]) == (16.0, "2026-01-01T00:00:00.000Z")
        for q, value in (("ceiling_a.1", 400.0), ("base_a.2", 21.0), ("committed_a.3", 10.0)):
            assert (await depot.samples("grid", q))[0]["v"] == value
        assert await depot.samples("grid", "ceiling_a.3") == []

    play(script)


def test_what_lies_within_the_dead_band_is_left_out_until_it_leaves_it() -> None:
    async def script(depot: Depot) -> None:
        depot.current_a = lambda t: 10.0 + 0.4 * (t % 2) + (6.0 if 303 <= t < 306 else 0.0)
        await depot.ticks(1230)
        found = await depot.samples("m-grid", "current_a.1")
        times = [one["t"][14:19] for one in found]
        # The first; the excursion and the way back from it; and again after 900 s.
        assert times == ["00:09", "05:09", "05:19", "20:19"]
        excursion = found[1]
        assert (excursion["max"], round(excursion["v"], 2)) == (16.4, 12.0)

    play(script)


def test_on_change_is_told_at_once_and_the_site_file_says_of_what() -> None:
    settings = TelemetrySettings(
        sampling={
            **SAMPLING,
            "current_a": Sampling(every_s=3600.0, dead_band=5.0, on_change=True),
            "power_w": Sampling(every_s=5.0),
            "voltage_v": Sampling(publish=False),
        }
    )

    async def script(depot: Depot) -> None:
        depot.current_a = lambda t: 10.0 if t < 7.0 else 30.0
        await depot.ticks(20)
        changes = await depot.samples("m-grid", "current_a.1")
        assert [one["v"] for one in changes] == [10.0, 30.0]
        assert [one["t"][17:23] for one in changes] == ["59.750", "06.750"]
        power = await depot.samples("m-grid", "power_w")
        assert [one["t"][17:23] for one in power] == ["04.750", "09.750", "14.750"]
        assert await depot.samples("m-grid", "voltage_v.1") == []

    play(script, settings=settings)


def test_one_batch_a_minute_is_coarse_and_outlives_the_thinning() -> None:
    settings = TelemetrySettings(sampling={**SAMPLING, "power_w": Sampling(every_s=10.0)})

    async def script(depot: Depot) -> None:
        await depot.ticks(190)
        found = await depot.outbox.waiting(after_seq=0, upto_seq=1 << 60, limit=1 << 30)
        powers = [
            one.row
            for one in found
            if one.row.topic == "telemetry"
            and any(s["q"] == "power_w" for s in json.loads(one.row.body)["samples"])
        ]
        coarse = [row for row in powers if row.detail is Detail.COARSE]
        assert [round(row.made_utc_s) % 3600 for row in coarse] == [10, 70, 130]
        assert all(thin(row) is row for row in coarse)
        fine = [row for row in powers if row.detail is Detail.FINE]
        assert len(fine) == 15
        assert all(thin(row).values == 0 for row in fine)

    play(script, settings=settings)


def test_a_clock_that_is_set_moves_times_and_loses_nothing() -> None:
    async def script(depot: Depot) -> None:
        depot.current_a = lambda t: t
        await depot.ticks(25)
        depot.step_utc_s = -86_400.0
        await depot.ticks(20)
        depot.step_utc_s = 3600.0
        await depot.ticks(20)
        found = await depot.samples("m-grid", "current_a.1")
        assert [one["v"] for one in found] == [5.0, 15.5, 25.5, 35.5, 45.5, 55.5]
        assert [one["t"][8:19] for one in found] == [
            "01T00:00:09",
            "01T00:00:19",
            "31T00:00:29",
            "31T00:00:39",
            "01T01:00:49",
            "01T01:00:59",
        ]

    play(script)


def test_f13_a_silent_device_repeats_its_value_with_its_old_time_and_says_so() -> None:
    async def script(depot: Depot) -> None:
        await depot.ticks(5)
        depot.meter_heard = False
        await depot.ticks(40)
        found = await depot.samples("m-grid", "current_a.1")
        assert {one["t"] for one in found} == {"2026-01-01T00:00:03.750Z"}
        assert [one["quality"] for one in found] == ["stale", "bad"]
        assert "min" in found[0]
        assert "min" not in found[1]
        (silent,) = await depot.events("device_silent")
        assert silent["id"] == "m-grid"
        depot.meter_heard = True
        await depot.ticks(12)
        assert (await depot.samples("m-grid", "current_a.1"))[-1]["quality"] == "good"
        (back,) = await depot.events("device_back")
        assert back["id"] == "m-grid"

    play(script)


def test_an_alarm_is_told_when_it_begins_and_when_it_is_over_and_not_when_it_flickers() -> None:
    alarm = Alarm(
        code=AlarmCode.OVER_CEILING,
        severity=Severity.ALARM,
        id="grid.1",
        text="grid L1 draws more than its ceiling",
        data={"measured_a": 412.3456},
    )

    async def script(depot: Depot) -> None:
        await depot.ticks(3)
        for _ in range(5):
            depot.alarms = (alarm,)
            await depot.ticks(2)
            depot.alarms = ()
            await depot.ticks(3)
        await depot.ticks(15)
        (raised,) = await depot.events("alarm_raised")
        assert (raised["severity"], raised["id"]) == ("alarm", "grid.1")
        assert raised["data"] == {"alarm": "over_ceiling", "measured_a": 412.346}
        assert raised["t"] == "2026-01-01T00:00:03.000Z"
        (cleared,) = await depot.events("alarm_cleared")
        assert (cleared["severity"], cleared["data"]["alarm"]) == ("info", "over_ceiling")

    play(script)


def test_states_are_told_as_they_change() -> None:
    async def script(depot: Depot) -> None:
        await depot.ticks(3)
        assert await depot.rows("event") == [], "the first tick is no change"
        depot.vehicle = VehicleState.ASKING
        await depot.ticks(30)
        depot.vehicle = VehicleState.ABSENT
        await depot.ticks(1)
        states = [one for one in await depot.events("evse_state") if one["id"] == "bay01"]
        assert [one["data"] for one in states] == [
            {"from": "absent", "to": "asking"},
            {"from": "asking", "to": "absent"},
        ]

    play(script)


def test_a_counter_that_is_read_seldom_is_good_and_grows_stale_but_never_bad() -> None:
    async def script(depot: Depot) -> None:
        await depot.ticks(60)
        depot.meter_heard = False
        await depot.ticks(3600)
        found = await depot.samples("m-grid", "energy_import_wh")
        assert [one["quality"] for one in found[:2]] == ["good", "stale"]
        assert {one["quality"] for one in found[1:]} == {"stale"}

    play(script)


def test_changed_decisions_are_told_with_their_reason_and_bounded() -> None:
    async def script(depot: Depot) -> None:
        await depot.ticks(1)
        for number in range(60):
            depot.evses[BAY] = decided(6.0 + number % 20)
            await depot.ticks(1)
        found = await depot.events("decision_changed")
        assert {one["id"] for one in found} == {"bay01"}
        assert 5 <= len(found) <= 7
        depot.evses[BAY] = decided(0.0, ReasonCode.PAUSED)
        await depot.ticks(11)
        last = (await depot.events("decision_changed"))[-1]
        assert last["data"] == {"setpoint_a": 0.0, "allocation_a": 0.0, "reason": "paused"}
        assert "paused" in last["text"]

    play(script)


def test_a_ceiling_that_changes_hands_is_told() -> None:
    async def script(depot: Depot) -> None:
        await depot.ticks(2)
        event = Holder(rank=Rank.UTILITY_MANDATORY, kind="event", id="e1")
        depot.node = a_node(event, 200.0)
        await depot.ticks(2)
        (told,) = await depot.events("ceiling_changed")
        assert told["data"] == {
            "holder": "event",
            "holder_id": "e1",
            "ceiling_a.1": 200.0,
            "ceiling_a.2": 200.0,
        }

    play(script)


def test_a_safe_decision_is_critical_and_told_once() -> None:
    async def script(depot: Depot) -> None:
        await depot.ticks(2)
        depot.safe = True
        await depot.ticks(5)
        (told,) = await depot.events("safe_decision")
        assert told["severity"] == "critical"

    play(script)


def test_a_full_disk_delays_and_loses_nothing_within_the_bound() -> None:
    async def script(depot: Depot) -> None:
        await depot.ticks(5)
        before = depot.outbox.last_seq
        depot.outbox.disk_full = True
        await depot.ticks(600)
        assert depot.outbox.last_seq == before
        depot.outbox.disk_full = False
        await depot.ticks(3)
        assert len(await depot.samples("m-grid", "current_a.1")) == 60
        (told,) = await depot.events("outbox_failed")
        assert told["data"] == {"rows": 0, "values": 0}
        assert told["severity"] == "warning"

    play(script, settings=ALWAYS)


def test_what_a_full_disk_costs_beyond_the_bound_is_counted_and_published() -> None:
    async def script(depot: Depot) -> None:
        depot.outbox.disk_full = True
        await depot.ticks(20_200)
        depot.outbox.disk_full = False
        await depot.ticks(3)
        (told,) = await depot.events("outbox_failed")
        kept = len(await depot.samples("m-grid", "current_a.1"))
        assert told["data"]["rows"] == 2020 - kept > 0
        assert told["data"]["values"] > told["data"]["rows"]
        assert told["severity"] == "alarm"

    play(script, settings=ALWAYS)


def test_what_the_broker_refuses_is_counted_and_published() -> None:
    async def script(depot: Depot) -> None:
        await depot.ticks(70)
        waiting = await depot.outbox.waiting(after_seq=0, upto_seq=1 << 60, limit=3)
        await depot.outbox.set_aside([waiting[0].seq, waiting[1].seq])
        await depot.outbox.give_up([waiting[2].seq])
        await depot.ticks(70)
        (aside,) = await depot.events("outbox_set_aside")
        assert aside["data"] == {"rows": 2, "aside": 2, "rows_total": 2}
        (refused,) = await depot.events("outbox_refused")
        assert refused["data"]["rows"] == refused["data"]["rows_total"] == 1
        assert refused["severity"] == "alarm"

    play(script, settings=ALWAYS)


def test_s23_what_the_bounds_of_the_outbox_take_is_counted_and_published() -> None:
    async def script(depot: Depot) -> None:
        await depot.ticks(7300)
        dropped = await depot.events("outbox_dropped")
        thinned = await depot.events("outbox_thinned")
        counts = depot.outbox.counts
        assert thinned[-1]["data"]["values_total"] <= counts.thinned_values
        assert dropped[-1]["data"]["rows_total"] <= counts.dropped_rows
        assert thinned[-1]["data"]["values_total"] > 0
        assert dropped[-1]["data"]["rows_total"] > 0
        # At most once a minute, however often the bound is met.
        assert len(dropped) <= 7300 // 60 + 1

    play(script, MemoryOutbox("s1", thin=thin, max_bytes=150_000), settings=ALWAYS)


def test_alarms_of_the_links_are_told_too() -> None:
    alarm = Alarm(
        code=AlarmCode.DEVICE_UNFIT, severity=Severity.WARNING, id="bay01", text="another one"
    )

    async def main() -> None:
        clock, outbox = VirtualClock(), memory_outbox()
        telemetry = Telemetry(outbox=outbox, clock=clock, alarms=lambda: (alarm,))
        depot = Depot(clock=clock, telemetry=telemetry, outbox=outbox)
        running = asyncio.create_task(telemetry.run())
        await depot.ticks(2)
        telemetry.stop()
        await running
        (raised,) = await depot.events("alarm_raised")
        assert raised["data"] == {"alarm": "device_unfit"}
        assert await depot.samples("m-grid", "current_a.1"), "a stop brings the batch that runs"

    run(main())


def test_observing_never_waits_and_is_bounded() -> None:
    async def main() -> None:
        clock, outbox = VirtualClock(), memory_outbox()
        telemetry = Telemetry(outbox=outbox, clock=clock)
        depot = Depot(clock=clock, telemetry=telemetry, outbox=outbox)
        record = depot.record()
        for number in range(1000):
            telemetry.observe(replace(record, number=number))
        assert len(telemetry._records) == 60

    run(main())
