"""Daemon and broker are killed at random points while samples flow; the region misses none.

The broker is mosquitto with persistence, as an operator would run it; the consumer is written
after the page of the contract, on the public paho client alone.
"""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.kill.gateway import BATCH
from tests.mqtt.mosquitto import Mosquitto

ROOT = Path(__file__).parents[2]
# Only a standstill ends a test that hangs: how fast the machine is says nothing.
STANDSTILL_S = 300.0
# How often the consumer falls behind, and by how much at most: well below the 120 s for which rows
# are kept after their acknowledgement, and well above the second in which the broker saves.
LAGS = 0.002
LAG_MAX_S = 5.0


@dataclass
class Consumer:
    """Drops duplicates by (stream, seq), and acknowledges late what it takes."""

    port: int
    rng: Random
    fresh: list[dict[str, Any]] = field(default_factory=list)
    duplicates: int = 0
    lagged_s: float = 0.0
    known: set[tuple[str, int]] = field(default_factory=set)
    arrived: set[int] = field(default_factory=set)
    subscribed: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="region", protocol=paho.MQTTv5)
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_message = self._take
        client.reconnect_delay_set(1, 1)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 3600
        client.connect("127.0.0.1", self.port, clean_start=False, properties=properties)
        client.loop_start()
        self._client = client

    def end(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client: paho.Client, *_: object) -> None:
        client.subscribe("edgectl/v1/#", 1)

    def _subscribed(self, *_: object) -> None:
        self.subscribed.set()

    def _take(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        if self.rng.random() < LAGS:
            self.lagged_s += (lag_s := self.rng.uniform(0.0, LAG_MAX_S))
            time.sleep(lag_s)
        if not message.topic.endswith("/telemetry"):
            return
        body = json.loads(message.payload)
        key = (body["stream"], body["seq"])
        if key in self.known:
            self.duplicates += 1
            return
        self.known.add(key)
        self.fresh.append(body)
        self.arrived.update(int(one["v"]) for one in body["samples"])


@dataclass
class Gateway:
    """The daemon's process."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def accepted_file(self) -> Path:
        return self.folder / "accepted"

    def start(self) -> None:
        outbox = str(self.folder / "outbox.db")
        words = ["-m", "tests.kill.gateway", outbox, str(self.port), str(self.accepted_file)]
        with (self.folder / "gateway.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *words], cwd=ROOT, stdout=log, stderr=log
            )

    def kill(self) -> None:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "gateway.log").read_text()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def runs_for(self, *, batches: int) -> None:
        """Return when so many more batches were accepted."""
        wanted = self._said() + batches
        while_it_moves(
            lambda: wanted - self._said(),
            otherwise=(self.folder / "gateway.log").read_text,
        )

    def _said(self) -> int:
        file = self.accepted_file
        return len(file.read_text(encoding="ascii").split()) if file.exists() else 0

    def accepted(self) -> set[int]:
        """Every sample of every batch that the outbox accepted before a kill."""
        if not self.accepted_file.exists():
            return set()
        starts = self.accepted_file.read_text(encoding="ascii").split()
        return {int(start) + k for start in starts for k in range(BATCH)}


def while_it_moves(left: Callable[[], int], *, otherwise: Callable[[], str]) -> None:
    """Return when nothing is left to wait for; fail when that does not come nearer any more."""
    least, since_s = left(), time.monotonic()
    while least > 0:
        time.sleep(0.05)
        if (now := left()) < least:
            least, since_s = now, time.monotonic()
        assert time.monotonic() < since_s + STANDSTILL_S, otherwise()


@pytest.mark.timeout(7200)
def test_killed_again_and_again_nothing_is_lost_and_no_lane_goes_back(
    tmp_path: Path, *, prove: bool
) -> None:
    run_kills(tmp_path, kills=100 if prove else 20, seed=7)


def run_kills(folder: Path, *, kills: int, seed: int) -> None:
    rng = Random(seed)
    # max_queued_messages: mosquitto drops beyond 1000 without a word.
    extra = "max_queued_messages 1000000\nautosave_interval 1\n"
    mosquitto = Mosquitto(folder, extra=extra, persistent=True)
    mosquitto.start()
    consumer = Consumer(mosquitto.port, Random(seed))
    gateway = Gateway(folder, mosquitto.port)
    try:
        consumer.start()
        assert consumer.subscribed.wait(STANDSTILL_S)
        mosquitto.save()
        gateway.start()
        for _ in range(kills):
            # Some batches are accepted between two kills, however slow this machine is.
            gateway.runs_for(batches=rng.randint(1, 20))
            time.sleep(rng.uniform(0.0, 1.0))
            victim = rng.choice(("gateway", "broker", "both"))
            if victim != "broker":
                gateway.kill()
            if victim != "gateway":
                mosquitto.kill()
                time.sleep(rng.uniform(0.0, 0.5))
                mosquitto.start()
            if victim != "broker":
                gateway.start()
        gateway.runs_for(batches=20)
        gateway.kill()
        accepted = gateway.accepted()
        # The last process only sends what is left.
        gateway.start()

        def missing() -> set[int]:
            return accepted.difference(consumer.arrived.copy())

        while_it_moves(
            lambda: len(missing()),
            otherwise=lambda: f"{len(missing())} of {len(accepted)} lost, first {min(missing())}",
        )
        assert len(accepted) > BATCH * kills
        by_lane: dict[tuple[str, str], list[int]] = {}
        for body in consumer.fresh:
            by_lane.setdefault((body["stream"], body["lane"]), []).append(body["seq"])
        assert {lane for _, lane in by_lane} == {"live", "backfill"}
        assert len({stream for stream, _ in by_lane}) == 1
        for seqs in by_lane.values():
            assert seqs == sorted(seqs)
        assert consumer.duplicates > 0, "the window was never sent again"
        assert consumer.lagged_s > 0.0, "the consumer was never behind"
        sys.stdout.write(
            f"{kills} kills, {len(accepted)} samples accepted, 0 lost;"
            f" {len(consumer.fresh)} rows in {len(by_lane)} lanes,"
            f" {consumer.duplicates} duplicates dropped;"
            f" the consumer was behind for {consumer.lagged_s:.0f} s in all\n"
        )
    finally:
        consumer.end()
        if gateway.process is not None and gateway.process.poll() is None:
            gateway.kill()
        mosquitto.end()
