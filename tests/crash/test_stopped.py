"""SIGTERM to the real process while nobody takes its messages: the file has all that was due."""

import asyncio
import json
import signal
import sqlite3
import zlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from edgectl.cli.journal_source import JournalSource
from edgectl.contract.journal import JournalStep
from edgectl.model.snapshot import EvseView, MeterView
from tests.crash.gateway import BAYS, LIMIT_A, Gateway, gateway

# No interval ends by itself: whatever telemetry of these there is, the way down has written.
LONG: Final = """\
telemetry: {quantities: {current_a: {every_s: 3600}, ceiling_a: {every_s: 3600, on_change: false},
  setpoint_a: {every_s: 3600, on_change: false}}}
"""
CLOCK_S: Final = 0.05


@dataclass(frozen=True)
class Outbox:
    """What another program finds in the file."""

    numbers: list[int]
    last_given: int
    said_to_wait: int
    bodies: list[tuple[str, dict[str, Any]]]

    def samples(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The newest sample of each quantity of each thing."""
        found = [
            sample
            for topic, body in self.bodies
            if topic == "telemetry"
            for sample in body["samples"]
        ]
        return {(one["id"], one["q"]): one for one in sorted(found, key=lambda one: one["t"])}

    def events(self) -> set[tuple[str, str, str]]:
        return {
            (body["code"], body["id"], body["t"]) for topic, body in self.bodies if topic == "event"
        }


def outbox_of(file: Path) -> Outbox:
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT seq, topic, body FROM rows ORDER BY seq").fetchall()
        (last_given,) = database.execute("SELECT seq FROM sqlite_sequence").fetchone()
        (waiting,) = database.execute("SELECT waiting FROM totals").fetchone()
    return Outbox(
        numbers=[seq for seq, _, _ in rows],
        last_given=last_given,
        said_to_wait=waiting,
        bodies=[
            (topic, json.loads(body if body.startswith(b"{") else zlib.decompress(body)))
            for _, topic, body in rows
        ],
    )


async def _until_all_are_measured(yard: Gateway) -> None:
    async with asyncio.timeout(60):
        while True:
            evses = (await yard.status())["evses"]
            if all("measured_a" in evses[bay] for bay in BAYS):
                return
            await asyncio.sleep(0.1)


async def _told(yard: Gateway, code: str) -> list[dict[str, Any]]:
    """Every event up to the first of this code, as the technician is shown them."""
    async with asyncio.timeout(30):
        while True:
            answer = await asyncio.to_thread(yard.client().get, "events")
            events: list[dict[str, Any]] = answer["events"]
            if any(event["code"] == code for event in events):
                return events
            await asyncio.sleep(0.02)


def _utc_s(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _last_readings(step: JournalStep) -> dict[str, float]:
    """When the newest current that the last tick knew of each device was taken, in UTC."""
    seen = step.snapshot
    views: list[tuple[str, MeterView | EvseView]] = [*seen.meters.items(), *seen.evses.items()]
    taken_s = {id_: view.samples[-1].taken_s for id_, view in views if view.samples}
    return {id_: step.now.utc_s - (step.now.mono_s - at_s) for id_, at_s in taken_s.items()}


def test_sigterm_leaves_in_the_outbox_file_all_that_was_due(tmp_path: Path) -> None:
    async def main() -> tuple[list[dict[str, Any]], Path]:
        async with gateway(tmp_path, seed=2) as yard:
            with (tmp_path / "site.yaml").open("a") as site:
                site.write(LONG)
            await yard.start()
            await _until_all_are_measured(yard)
            await yard.limit(LIMIT_A - 0.1)
            told = await _told(yard, "ceiling_changed")
            assert await yard.end(signal.SIGTERM) == 0, yard.log()
            return told, yard.state

    told, state = asyncio.run(main())
    outbox = outbox_of(state / "outbox.db")
    assert outbox.numbers == list(range(1, outbox.last_given + 1))
    assert outbox.said_to_wait == outbox.last_given

    ever = {"from_utc_s": float("-inf"), "until_utc_s": float("inf")}
    *_, (_, last) = JournalSource(state / "journal").steps(**ever)
    samples = outbox.samples()
    readings = _last_readings(last)
    assert set(readings) == {"m", *BAYS}
    for id_, taken_utc_s in readings.items():
        newest = samples[id_, "current_a.1"]
        assert abs(_utc_s(newest["t"]) - taken_utc_s) < CLOCK_S, "up to the last reading"
    for evse, decided in last.evses.items():
        assert samples[evse, "setpoint_a"]["v"] == round(decided.setpoint_a, 3)
    assert samples["grid", "ceiling_a.1"]["v"] == LIMIT_A - 0.1

    assert {(one["code"], one["id"], one["t"]) for one in told} <= outbox.events()
