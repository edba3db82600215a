"""Events from the wire to the ceilings that hold, moment by moment: one row for each case.

Expected values are worked out by hand from OpenADR 3 (User Guide 7), the field failures F11, F12,
F23 and F24, and the design's own rules. A row is a list of steps: send an event, delete, restart,
set the clock, and look at what holds.
"""

import asyncio
import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from edgectl.clock import Instant
from edgectl.contract.dr import DrResponse
from edgectl.daemon.desk.events import EventDesk
from edgectl.model.ceiling import TimedCeiling
from edgectl.model.settings import Unsigned
from edgectl.model.site import LinkLoss, Program, Site
from edgectl.model.trust import Connection
from edgectl.simulator.memory.store import MemoryStore
from edgectl.units import ProgramId
from tests.grid.samples import HOLDING, MANDATORY, SITE, VOLUNTARY, at, event, limit, wire

MAPPED = Program(
    id=ProgramId("mapped"),
    mandatory=True,
    default_unit="KW",
    reference_w=100_000.0,
    simple_levels=(0.7, 0.4, 0.0),
    alerts={"ALERT_GRID_EMERGENCY": 0.1, "ALERT_BLACK_START": 0.0},
    link_loss=LinkLoss(after_s=120.0, limit_w=50_000.0, for_s=600.0),
)
SPARSE = Program(
    id=ProgramId("sparse"),
    mandatory=True,
    reference_w=100_000.0,
    simple_levels=(None, 0.5, None),
)
SLOW = Program(id=ProgramId("slow"), mandatory=True, default_unit="KW", recover_within_s=600.0)
TABLE_SITE = replace(SITE, programs=(MANDATORY, VOLUNTARY, HOLDING, MAPPED, SPARSE, SLOW))
NOW = "0001-01-01T00:00:00Z"
EXAMPLE = {
    "objectType": "EVENT",
    "id": "evt-20261124-0042",
    "createdDateTime": "2026-11-24T14:05:00Z",
    "modificationDateTime": "2026-11-24T14:05:00Z",
    "programID": "prog-1",
    "eventName": "feeder-7 evening import cap",
    "priority": 0,
    "targets": ["feeder-7", "depot-north"],
    "payloadDescriptors": [
        {
            "objectType": "EVENT_PAYLOAD_DESCRIPTOR",
            "payloadType": "IMPORT_CAPACITY_LIMIT",
            "units": "KW",
        }
    ],
    "reportDescriptors": [
        {
            "payloadType": "DEMAND",
            "readingType": "MEAN",
            "units": "KW",
            "aggregate": True,
            "startInterval": -1,
            "numIntervals": -1,
            "historical": True,
            "frequency": 1,
            "repeat": 1,
            "reportIntervals": "INTERVALS",
        }
    ],
    "intervalPeriod": {
        "start": "2026-11-24T16:30:00Z",
        "duration": "PT30M",
        "randomizeStart": "PT0S",
    },
    "intervals": [limit(600.0), limit(450.0, 1), limit(450.0, 2), limit(600.0, 3)],
}


@dataclass
class Bench:
    """A desk with a clock, a disk and a wire; `draw` is every random number."""

    site: Site = TABLE_SITE
    draw: float = 0.5
    clock: str = "14:00"
    trusted: bool = True
    store: MemoryStore = field(default_factory=MemoryStore)
    said: list[DrResponse] = field(default_factory=list)
    desk: EventDesk = field(init=False)

    def __post_init__(self) -> None:
        self.boot()

    def boot(self) -> None:
        self.desk = EventDesk(
            site=self.site,
            store=self.store,
            unsigned=Unsigned.LOOPBACK,
            draw=lambda: self.draw,
            reply=self.reply,
            audit=lambda _: None,
        )

    async def reply(self, _name: str, body: DrResponse) -> None:
        self.said.append(body)

    def now(self) -> Instant:
        moment = at(self.clock)
        return Instant(mono_s=moment - at("00:00"), utc_s=moment, utc_trusted=self.trusted)

    def held(self) -> list[TimedCeiling]:
        moment = at(self.clock)
        return [
            c
            for c in self.desk.ceilings()
            if c.from_utc_s <= moment
            and (c.until_utc_s is None or moment < c.until_utc_s or not self.trusted)
        ]

    async def send(self, payload: bytes, name: str) -> None:
        await self.desk.handle(
            name, payload, retained=False, connection=Connection.LOOPBACK, now=self.now()
        )


def send(**changes: Any) -> tuple[Any, ...]:
    body = event(**changes)
    return ("send", json.dumps(body).encode(), f"dr/event/{body['id']}")


def one_shot(operation: str, **changes: Any) -> tuple[Any, ...]:
    body = {"object_type": "EVENT", "operation": operation, "object": event(**changes)}
    return ("send", json.dumps(body).encode(), "dr/event")


def delete(name: str = "evt-1") -> tuple[Any, ...]:
    return ("send", b"", f"dr/event/{name}")


def index(made: str, **events: str) -> tuple[Any, ...]:
    return ("send", json.dumps({"made_at": wire(made), "events": events}).encode(), "dr/index")


def look(clock: str, *kw: float) -> tuple[Any, ...]:
    return ("look", clock, list(kw))


def amps(clock: str, *a: float) -> tuple[Any, ...]:
    return ("amps", clock, list(a))


def export(clock: str, *kw: float) -> tuple[Any, ...]:
    return ("export", clock, list(kw))


def places(clock: str, *names: str) -> tuple[Any, ...]:
    return ("places", clock, sorted(names))


def answer(last: str) -> tuple[Any, ...]:
    return ("answer", last)


RESTART = ("restart",)
DOUBT = ("trusted", False)
SURE = ("trusted", True)


def draws(value: float) -> tuple[Any, ...]:
    return ("draw", value)


def payload(kind: str, *values: Any) -> dict[str, Any]:
    return {"id": 0, "payloads": [{"type": kind, "values": list(values)}]}


def units(unit: str, kind: str = "IMPORT_CAPACITY_LIMIT") -> list[dict[str, Any]]:
    return [{"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": kind, "units": unit}]


def mapped(kind: str, *values: Any, **more: Any) -> tuple[Any, ...]:
    return send(programID="mapped", intervals=[payload(kind, *values)], **more)


CASES: dict[str, list[tuple[Any, ...]]] = {
    "standards_1_10_example": [
        ("send", json.dumps(EXAMPLE).encode(), "dr/event/evt-20261124-0042"),
        answer("partial:unknown_target"),
        look("16:29:59"),
        look("16:30:00", 600),
        look("16:59:59", 600),
        look("17:00:00", 450),
        look("17:30:00", 450),
        look("18:00:00", 600),
        look("18:29:59", 600),
        look("18:30:00"),
    ],
    "standards_1_10_example_as_a_notification": [
        (
            "send",
            json.dumps({"objectType": "EVENT", "operation": "CREATE", "object": EXAMPLE}).encode(),
            "dr/event",
        ),
        look("17:15", 450),
    ],
    "standards_1_10_example_in_3_0_1": [
        (
            "send",
            json.dumps(EXAMPLE | {"targets": [{"type": "GROUP", "values": ["bays"]}]}).encode(),
            "dr/event/evt-20261124-0042",
        ),
        places("17:15", "bay01", "bay02"),
    ],
    "F11_zero_watts_means_zero": [send(intervals=[limit(0)]), look("16:45", 0)],
    "F11_negative_is_refused": [
        send(intervals=[limit(-1)]),
        answer("refused:malformed"),
        look("16:45"),
    ],
    "F11_negative_version_leaves_the_old_one": [
        send(),
        send(modificationDateTime=wire("14:30"), intervals=[limit(-1)]),
        answer("refused:malformed"),
        look("16:45", 60),
    ],
    "F11_no_duration_holds_until_changed": [
        send(intervalPeriod={"start": wire("16:30")}),
        look("16:45", 60),
        look("23:59", 60),
        send(
            modificationDateTime=wire("23:59"),
            intervalPeriod={"start": wire("23:59")},
            intervals=[limit(80)],
        ),
        look("23:59:30", 80),
    ],
    "F11_no_duration_survives_a_restart": [
        send(intervalPeriod={"start": wire("16:30")}),
        look("17:00", 60),
        RESTART,
        look("22:00", 60),
    ],
    "F11_explicit_PT0S_cancels": [
        send(intervalPeriod={"start": wire("16:30")}),
        look("17:00", 60),
        send(modificationDateTime=wire("17:00"), intervalPeriod={"start": NOW, "duration": "PT0S"}),
        answer("cancelled"),
        look("17:00"),
    ],
    "F11_event_duration_PT0S_cancels": [
        send(),
        send(modificationDateTime=wire("14:01"), duration="PT0S"),
        answer("cancelled"),
        look("16:45"),
    ],
    "F11_infinite_is_no_end": [
        send(intervalPeriod={"start": wire("16:30"), "duration": "P9999Y"}),
        look("23:59:59", 60),
    ],
    "F11_text_is_no_limit": [
        send(intervals=[payload("IMPORT_CAPACITY_LIMIT", "60")]),
        answer("refused:malformed"),
    ],
    "F11_true_is_no_limit": [
        send(intervals=[payload("IMPORT_CAPACITY_LIMIT", True)]),
        answer("refused:malformed"),
    ],
    "F11_two_values_are_no_limit": [
        send(intervals=[payload("IMPORT_CAPACITY_LIMIT", 60, 50)]),
        answer("refused:malformed"),
    ],
    "F12_held_at_the_guaranteed_minimum": [
        send(programID="prog-hold", intervals=[limit(0)]),
        look("16:45", 12.6),
    ],
    "F12_above_the_minimum_as_asked": [
        send(programID="prog-hold", intervals=[limit(20)]),
        look("16:45", 20),
    ],
    "F12_minimum_in_amperes": [
        send(programID="prog-hold", payloadDescriptors=units("A"), intervals=[limit(1)]),
        amps("16:45", 12_600 / 690),
    ],
    "F12_without_hold_obeyed": [send(intervals=[limit(1)]), look("16:45", 1)],
    "F23_the_last_word_ends_at_its_end_though_nobody_speaks": [
        send(intervals=[limit(0)]),
        look("17:00", 0),
        look("17:30"),
    ],
    "F23_a_very_high_limit_changes_nothing_and_ends": [
        send(intervals=[limit(900_000)]),
        look("17:00", 900_000),
        look("17:30"),
    ],
    "F24_deleted_is_gone_in_the_same_moment": [
        send(),
        look("16:45", 60),
        delete(),
        answer("cancelled"),
        look("16:45"),
    ],
    "F24_deleted_by_notification": [
        send(),
        look("16:45", 60),
        one_shot("DELETE"),
        look("16:45"),
    ],
    "F24_deleted_by_the_index": [
        send(),
        look("16:45", 60),
        index("16:45"),
        look("16:45"),
    ],
    "F24_named_in_the_index_stays": [
        send(),
        look("16:45", 60),
        index("16:45", **{"evt-1": wire("14:00")}),
        look("16:46", 60),
    ],
    "F24_restart_in_the_middle": [send(), look("16:45", 60), RESTART, look("16:46", 60)],
    "F24_restart_after_the_end": [send(), look("16:45", 60), RESTART, look("17:30")],
    "F24_restart_keeps_a_deletion": [send(), delete(), RESTART, look("16:45")],
    "F24_a_deleted_event_does_not_come_back_by_itself": [
        send(),
        one_shot("DELETE"),
        send(),
        look("16:45"),
    ],
    "F24_restart_keeps_the_random_start": [
        draws(1.0 - 1e-12),
        send(
            intervalPeriod={
                "start": wire("16:30"),
                "duration": "PT1H",
                "randomizeStart": "PT10M",
            }
        ),
        draws(0.0),
        RESTART,
        look("16:39"),
        look("16:41", 60),
    ],
    "random_start_early": [
        draws(0.0),
        send(
            intervalPeriod={
                "start": wire("16:30"),
                "duration": "PT1H",
                "randomizeStart": "PT10M",
            }
        ),
        look("16:20", 60),
        look("17:20"),
    ],
    "random_start_is_drawn_anew_for_a_new_version": [
        draws(0.0),
        send(
            intervalPeriod={"start": wire("16:30"), "duration": "PT1H", "randomizeStart": "PT10M"}
        ),
        draws(0.5),
        send(
            modificationDateTime=wire("14:10"),
            intervalPeriod={"start": wire("16:30"), "duration": "PT1H", "randomizeStart": "PT10M"},
        ),
        look("16:20"),
        look("16:30", 60),
    ],
    "now_at_event_level_is_when_the_version_was_made": [
        send(intervalPeriod={"start": NOW, "duration": "PT1H"}),
        look("14:00", 60),
        look("15:00"),
    ],
    "now_at_event_level_finds_its_interval_in_the_middle": [
        ("clock", "14:40"),
        send(
            intervalPeriod={"start": NOW, "duration": "PT30M"},
            intervals=[limit(60), limit(40, 1)],
        ),
        look("14:40", 40),
        look("15:00"),
    ],
    "now_of_older_versions": [
        send(intervalPeriod={"start": "0000-00-00", "duration": "PT1H"}),
        look("14:30", 60),
    ],
    "now_in_a_later_interval_is_after_the_one_before": [
        send(intervals=[limit(60), limit(40, 1, start=NOW, duration="PT5M")]),
        look("17:31", 40),
        look("17:35"),
    ],
    "longer_event_duration_loops": [
        send(
            duration="PT4H",
            intervalPeriod={"start": wire("16:00"), "duration": "PT1H"},
            intervals=[limit(60), limit(40, 1)],
        ),
        look("16:30", 60),
        look("17:30", 40),
        look("18:30", 60),
        look("19:30", 40),
        look("20:00"),
    ],
    "a_loop_may_be_cut_in_the_middle_of_a_pass": [
        send(
            duration="PT2H30M",
            intervalPeriod={"start": wire("16:00"), "duration": "PT1H"},
            intervals=[limit(60), limit(40, 1)],
        ),
        look("18:29", 60),
        look("18:30"),
    ],
    "a_loop_goes_on_after_a_restart": [
        send(
            duration="PT4H",
            intervalPeriod={"start": wire("16:00"), "duration": "PT1H"},
            intervals=[limit(60), limit(40, 1)],
        ),
        look("18:30", 60),
        RESTART,
        look("19:30", 40),
    ],
    "shorter_event_duration_cuts": [
        send(duration="PT20M", intervals=[limit(60)]),
        look("16:49", 60),
        look("16:50"),
    ],
    "gap_between_intervals_is_free": [
        send(
            intervals=[
                limit(60, start=wire("16:00"), duration="PT10M"),
                limit(40, 1, start=wire("17:00"), duration="PT10M"),
            ]
        ),
        look("16:05", 60),
        look("16:30"),
        look("17:05", 40),
    ],
    "an_interval_without_a_limit_is_free": [
        send(intervals=[limit(60), payload("CURVE", 1) | {"id": 1}, limit(40, 2)]),
        look("17:00", 60),
        look("18:00"),
        look("19:00", 40),
    ],
    "a_month_is_a_calendar_month": [
        send(intervalPeriod={"start": "2026-10-24T16:30:00Z", "duration": "P1M"}),
        look("16:29", 60),
        look("16:30"),
    ],
    "a_day_of_changed_clocks_is_24_hours": [
        send(intervalPeriod={"start": "2026-11-23T16:30:00Z", "duration": "P1D"}),
        look("16:29", 60),
        look("16:30"),
    ],
    "an_offset_is_the_same_moment": [
        send(intervalPeriod={"start": "2026-11-24T08:30:00-08:00", "duration": "PT1H"}),
        look("16:29:59"),
        look("16:30", 60),
    ],
    "over_before_it_came": [
        ("clock", "18:00"),
        send(),
        answer("refused:expired"),
    ],
    "far_ahead_is_accepted": [
        send(intervalPeriod={"start": "2027-11-24T16:30:00Z", "duration": "PT1H"}),
        answer("accepted"),
        look("16:45"),
    ],
    "newest_version_wins": [
        send(),
        send(modificationDateTime=wire("14:10"), intervals=[limit(30)]),
        look("16:45", 30),
    ],
    "older_version_is_stale": [
        send(modificationDateTime=wire("14:10"), intervals=[limit(30)]),
        send(),
        answer("refused:stale"),
        look("16:45", 30),
    ],
    "the_same_version_again_changes_nothing": [
        send(),
        send(),
        answer("accepted"),
        look("16:45", 60),
    ],
    "among_programs_the_lowest": [
        send(),
        send(id="b", programID="prog-2", intervals=[limit(50)]),
        look("16:45", 50, 60),
    ],
    "better_priority_replaces_even_upwards": [
        send(priority=5, intervals=[limit(30)]),
        send(id="b", priority=1, intervals=[limit(90)]),
        look("16:45", 90),
    ],
    "no_priority_is_last": [
        send(intervals=[limit(30)]),
        send(id="b", priority=9, intervals=[limit(90)]),
        look("16:45", 90),
    ],
    "equal_priorities_all_apply": [
        send(priority=1, intervals=[limit(30)]),
        send(id="b", priority=1, intervals=[limit(90)]),
        look("16:45", 30, 90),
    ],
    "a_better_priority_gives_back_after_its_time": [
        send(priority=5, intervals=[limit(30)]),
        send(
            id="b",
            priority=1,
            intervalPeriod={"start": wire("16:40"), "duration": "PT10M"},
            intervals=[limit(90)],
        ),
        look("16:39", 30),
        look("16:45", 90),
        look("16:51", 30),
    ],
    "import_does_not_replace_export": [
        send(
            priority=5,
            payloadDescriptors=units("KW", "EXPORT_CAPACITY_LIMIT"),
            intervals=[payload("EXPORT_CAPACITY_LIMIT", 10)],
        ),
        send(id="b", priority=1),
        look("16:45", 60),
        export("16:45", 10),
    ],
    "export_limit_of_zero": [
        send(
            payloadDescriptors=units("KW", "EXPORT_CAPACITY_LIMIT"),
            intervals=[payload("EXPORT_CAPACITY_LIMIT", 0)],
        ),
        answer("partial:watched_only"),
        look("16:45"),
        export("16:45", 0),
    ],
    "both_limits_in_one_interval": [
        send(
            intervals=[
                {
                    "id": 0,
                    "payloads": [
                        *limit(60)["payloads"],
                        {"type": "EXPORT_CAPACITY_LIMIT", "values": [5]},
                    ],
                }
            ]
        ),
        look("16:45", 60),
        export("16:45", 5),
    ],
    "dispatch_setpoint_is_a_ceiling": [
        send(
            payloadDescriptors=units("KW", "DISPATCH_SETPOINT"),
            intervals=[payload("DISPATCH_SETPOINT", 42)],
        ),
        look("16:45", 42),
    ],
    "dispatch_setpoint_beside_a_limit": [
        send(
            intervals=[
                {
                    "id": 0,
                    "payloads": [
                        *limit(60)["payloads"],
                        {"type": "DISPATCH_SETPOINT", "values": [42]},
                    ],
                }
            ]
        ),
        look("16:45", 42),
    ],
    "watts": [
        send(payloadDescriptors=units("W"), intervals=[limit(4200)]),
        look("16:45", 4.2),
    ],
    "kilovoltamperes": [
        send(payloadDescriptors=units("KVA"), intervals=[limit(42)]),
        look("16:45", 42),
    ],
    "amperes": [
        send(payloadDescriptors=units("AMPS"), intervals=[limit(100)]),
        amps("16:45", 100),
        look("16:45"),
    ],
    "percent_is_a_fraction_of_the_reference": [
        send(payloadDescriptors=units("PERCENT"), intervals=[limit(0.4)]),
        look("16:45", 60),
    ],
    "percent_beyond_one_is_refused": [
        send(payloadDescriptors=units("PERCENT"), intervals=[limit(40)]),
        answer("refused:malformed"),
    ],
    "no_unit_and_no_default_is_refused": [
        send(programID="prog-2", payloadDescriptors=None),
        answer("refused:malformed"),
    ],
    "no_unit_takes_the_programs": [send(payloadDescriptors=None), look("16:45", 60)],
    "kilowatthours_are_no_limit": [
        send(payloadDescriptors=units("KWH")),
        answer("refused:not_supported"),
    ],
    "simple_1": [mapped("SIMPLE", 1), look("16:45", 70)],
    "simple_2": [mapped("SIMPLE", 2), look("16:45", 40)],
    "simple_3": [mapped("SIMPLE", 3), look("16:45", 0)],
    "simple_0_asks_for_nothing": [mapped("SIMPLE", 0), answer("accepted"), look("16:45")],
    "simple_0_of_a_better_priority_lifts_its_own_program": [
        mapped("SIMPLE", 3, priority=5),
        mapped("SIMPLE", 0, id="b", priority=1),
        look("16:45"),
    ],
    "simple_as_a_float": [mapped("SIMPLE", 2.0), look("16:45", 40)],
    "simple_4_is_no_level": [mapped("SIMPLE", 4), answer("refused:malformed")],
    "simple_without_levels_is_recorded_only": [
        send(intervals=[payload("SIMPLE", 1)]),
        answer("refused:not_supported"),
    ],
    "unmapped_level_takes_the_next_harder": [
        send(programID="sparse", intervals=[payload("SIMPLE", 1)]),
        look("16:45", 50),
    ],
    "unmapped_hardest_level_takes_the_hardest_mapped": [
        send(programID="sparse", intervals=[payload("SIMPLE", 3)]),
        look("16:45", 50),
    ],
    "grid_emergency": [mapped("ALERT_GRID_EMERGENCY", "now"), look("16:45", 10)],
    "black_start_until_cleared": [
        mapped("ALERT_BLACK_START", "x", intervalPeriod={"start": NOW}),
        look("23:00", 0),
        delete(),
        look("23:00"),
    ],
    "alert_without_mapping_is_recorded_only": [
        send(intervals=[payload("ALERT_GRID_EMERGENCY", "now")]),
        answer("refused:not_supported"),
    ],
    "price_is_kept_for_the_plan": [
        send(intervals=[payload("PRICE", 0.31)]),
        answer("partial:not_supported"),
        look("16:45"),
    ],
    "price_beside_a_limit": [
        send(
            intervals=[
                {
                    "id": 0,
                    "payloads": [*limit(60)["payloads"], {"type": "PRICE", "values": [0.3]}],
                }
            ]
        ),
        answer("partial:not_supported"),
        look("16:45", 60),
    ],
    "unknown_payload_is_recorded_only": [
        send(intervals=[payload("X_PRIVATE", "?")]),
        answer("refused:not_supported"),
    ],
    "target_node": [send(targets=["tx1"]), places("16:45", "tx1")],
    "target_evse": [send(targets=["bay01"]), places("16:45", "bay01")],
    "target_group": [send(targets=["bays"]), places("16:45", "bay01", "bay02")],
    "target_site_is_the_root": [send(targets=["depot-north"]), places("16:45", "grid")],
    "no_target_is_the_root": [send(targets=[]), places("16:45", "grid")],
    "targets_of_3_0_1": [
        send(targets=[{"type": "RESOURCE_NAME", "values": ["tx1", "bay01"]}]),
        places("16:45", "tx1", "bay01"),
    ],
    "unknown_target_is_refused": [send(targets=["tx9"]), answer("refused:unknown_target")],
    "unknown_program_is_refused": [
        send(programID="prog-9"),
        answer("refused:unknown_program"),
    ],
    "recovery_is_late_by_the_events_own_draw": [
        draws(0.5 / 7919.0),
        send(programID="slow"),
        look("17:29", 60),
        look("17:34", 60),
        look("17:36"),
    ],
    "recovery_survives_a_restart": [
        draws(0.5 / 7919.0),
        send(programID="slow"),
        look("17:31", 60),
        RESTART,
        look("17:34", 60),
        look("17:36"),
    ],
    "a_cancelled_event_does_not_wait_for_recovery": [
        draws(0.5 / 7919.0),
        send(programID="slow"),
        look("17:29", 60),
        delete(),
        look("17:29"),
    ],
    "doubtful_clock_ends_nothing": [
        send(),
        look("16:45", 60),
        DOUBT,
        look("18:00", 60),
        SURE,
        look("18:01"),
    ],
    "doubtful_clock_takes_no_deletion": [
        send(),
        DOUBT,
        delete(),
        answer("refused:clock_untrusted"),
        look("16:45", 60),
    ],
    "doubtful_clock_takes_what_tightens": [
        send(),
        DOUBT,
        send(modificationDateTime=wire("14:10"), intervals=[limit(20)]),
        look("16:45", 20),
    ],
    "doubtful_clock_takes_nothing_wider": [
        send(),
        DOUBT,
        send(modificationDateTime=wire("14:10"), intervals=[limit(90)]),
        answer("refused:clock_untrusted"),
        look("16:45", 60),
    ],
    "clock_set_forward_over_the_start": [send(), look("14:01"), look("16:50", 60)],
    "clock_set_back_before_the_start": [
        send(),
        look("16:45", 60),
        look("16:00"),
        look("16:31", 60),
    ],
    "clock_set_forward_over_the_end": [send(), look("16:45", 60), look("20:00")],
}


@pytest.mark.parametrize("name", CASES)
def test_event(name: str) -> None:
    asyncio.run(play(CASES[name]))


def test_the_table_is_as_long_as_it_says() -> None:
    assert len(CASES) >= 60
    for row in ("F11", "F12", "F23", "F24", "standards_1_10"):
        assert any(name.startswith(row) for name in CASES)


async def play(steps: list[tuple[Any, ...]]) -> None:
    bench = Bench()
    looked = False
    for number, step in enumerate(steps):
        match step:
            case ("send", bytes() as body, str() as topic):
                await bench.send(body, topic)
            case ("draw", float() as value):
                bench.draw = value
            case ("trusted", bool() as trusted):
                bench.trusted = trusted
                await bench.desk.tick(bench.now())
            case ("clock", str() as clock):
                bench.clock = clock
            case ("restart",):
                bench.boot()
                await bench.desk.load(bench.now())
            case ("answer", str() as expected):
                said = bench.said[-1]
                code = f":{said.code.value}" if said.code else ""
                assert f"{said.state.value}{code}" == expected, f"step {number}"
                looked = True
            case (str() as what, str() as clock, list() as values):
                bench.clock = clock
                await bench.desk.tick(bench.now())
                assert seen(bench, what) == pytest.approx(values), f"step {number}: {step}"
                looked = True
            case _:
                raise AssertionError(step)
    assert looked, "a row that looks at nothing shows nothing"


def seen(bench: Bench, what: str) -> list[Any]:
    held = bench.held()
    if what == "places":
        return sorted({str(c.node if c.node is not None else c.evse) for c in held})
    if what == "amps":
        return sorted(a for c in held if (a := c.limit_a[0]) is not None)
    values = (c.export_w if what == "export" else c.limit_w for c in held)
    return sorted(value / 1000 for value in values if value is not None)
