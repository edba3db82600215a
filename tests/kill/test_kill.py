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
SETTLE_S = 240.0
START_S = 240.0
# A lag well below the 120 s for which rows are kept after their acknowledgement.
LAG_MAX_S = 0.3


@dataclass
class Consumer:
    """Drops duplicates by (stream, seq), and acknowledges late what it takes."""

    port: int
    rng: Random
    fresh: list[dict[str, Any]] = field(default_factory=list)
    duplicates: int = 0
    known: set[tuple[str, int]] = field(default_factory=set)
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
        if self.rng.random() < 0.02:
            time.sleep(self.rng.uniform(0.0, LAG_MAX_S))
        if not message.topic.endswith("/telemetry"):
            return
        body = json.loads(message.payload)
        key = (body["stream"], body["seq"])
        if key in self.known:
            self.duplicates += 1
            return
        self.known.add(key)
        self.fresh.append(body)


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
        """Return when so many more batches were accepted; the bound only ends a test that hangs."""
        wanted, end_s = self._said() + batches, time.monotonic() + START_S
        while self._said() < wanted:
            assert time.monotonic() < end_s, (self.folder / "gateway.log").read_text()
            time.sleep(0.01)

    def _said(self) -> int:
        file = self.accepted_file
        return len(file.read_text(encoding="ascii").split()) if file.exists() else 0

    def accepted(self) -> set[int]:
        """Every sample of every batch that the outbox accepted before a kill."""
        if not self.accepted_file.exists():
            return set()
        starts = self.accepted_file.read_text(encoding="ascii").split()
        return {int(start) + k for start in starts for k in range(BATCH)}


def arrived(consumer: Consumer) -> set[int]:
    return {int(one["v"]) for body in list(consumer.fresh) for one in body["samples"]}


@pytest.mark.timeout(3600)
def test_killed_again_and_again_nothing_is_lost_and_no_lane_goes_back(
    tmp_path: Path, *, prove: bool
) -> None:
    run_kills(tmp_path, kills=100 if prove else 20, seed=7)


def run_kills(folder: Path, *, kills: int, seed: int) -> None:
    rng = Random(seed)
    # max_queued_messages: mosquitto drops beyond 1000 without a word.
    extra = "max_queued_messages 0\nautosave_interval 1\n"
    mosquitto = Mosquitto(folder, extra=extra, persistent=True)
    mosquitto.start()
    consumer = Consumer(mosquitto.port, Random(seed))
    gateway = Gateway(folder, mosquitto.port)
    try:
        consumer.start()
        assert consumer.subscribed.wait(20)
        # From here on the broker's own file has the consumer's subscription.
        mosquitto.send(signal.SIGUSR1)
        time.sleep(0.5)
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
        end_s = time.monotonic() + SETTLE_S
        while accepted - arrived(consumer) and time.monotonic() < end_s:
            time.sleep(0.2)
        missing = sorted(accepted - arrived(consumer))
        assert missing == [], f"{len(missing)} of {len(accepted)} lost, first {missing[:5]}"
        assert len(accepted) > BATCH * kills
        by_lane: dict[tuple[str, str], list[int]] = {}
        for body in consumer.fresh:
            by_lane.setdefault((body["stream"], body["lane"]), []).append(body["seq"])
        assert {lane for _, lane in by_lane} == {"live", "backfill"}
        assert len({stream for stream, _ in by_lane}) == 1
        for seqs in by_lane.values():
            assert seqs == sorted(seqs)
        assert consumer.duplicates > 0, "the window was never sent again"
    finally:
        consumer.end()
        if gateway.process is not None and gateway.process.poll() is None:
            gateway.kill()
        mosquitto.end()
