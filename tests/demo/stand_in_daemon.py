"""A stand-in for the daemon: publishes by the contract and holds every charger at one current.

Arguments: site file, state directory, socket, then `key=value`: `amps` (6), `lose` (0: number of
messages that are counted but never sent), `deaf` (0), `die_after_s` (0).
"""

import json
import secrets
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import yaml
from paho.mqtt.enums import CallbackAPIVersion
from pymodbus.client import ModbusTcpClient


class StandIn:
    def __init__(self, config: dict[str, Any], wishes: dict[str, float]) -> None:
        self.config, self.wishes = config, wishes
        self.site = config["site"]
        self.prefix = f"edgectl/v1/{self.site['region']}/{self.site['id']}/"
        self.stream, self.seq = secrets.token_hex(8), 0
        self.lose = int(wishes.get("lose", 0))
        self.lock = threading.Lock()
        newest = config["mqtt"]["protocol"] == 5
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5 if newest else mqtt.MQTTv311
        )
        self.client.on_message = self.on_message
        self.subscribed = threading.Event()
        self.client.on_subscribe = lambda *_: self.subscribed.set()

    def run(self) -> None:
        broker = self.config["mqtt"]["brokers"][0]
        self.client.connect(broker["host"], broker["port"])
        self.client.loop_start()
        self.client.subscribe(self.prefix + "dr/event/+", qos=1)
        self.subscribed.wait(5)
        status = {"stream": self.stream, "state": "online", "site": self.site["id"]}
        self.client.publish(self.prefix + "status", json.dumps(status), qos=1, retain=True)
        began = time.monotonic()
        while not STOP.is_set():
            for evse in self.config["evses"]:
                self.hold(evse)
            self.send("telemetry", {"samples": [{"id": "x", "q": "setpoint_a", "v": 6.0}]})
            STOP.wait(0.5)
            if 0 < self.wishes.get("die_after_s", 0) < time.monotonic() - began:
                sys.exit("the stand-in died as it was told")
        self.last.wait_for_publish(5)
        self.client.loop_stop()
        self.client.disconnect()

    def hold(self, evse: dict[str, Any]) -> None:
        link = next(link for link in self.config["links"] if link["id"] == evse["link"])
        amps = int(self.wishes.get("amps", 6))
        address, value = {
            "phoenix-charx-sec": (evse["connector"] * 1000 + 301, amps),
            "keba-p40": (5004, amps * 1000),
            "webasto-next": (5004, amps),
        }[evse["profile"]]
        with ModbusTcpClient(link["host"], port=link["port"], timeout=0.2, retries=0) as client:
            try:
                client.write_register(address, value, device_id=evse["unit"])
            except Exception:  # noqa: BLE001 - a silent charger
                return

    def on_message(self, _client: Any, _data: Any, message: Any) -> None:
        if not message.payload or self.wishes.get("deaf"):
            return
        event = json.loads(message.payload)
        for state in ("received", "accepted"):
            self.send("dr/response", {"event_id": event["id"], "state": state, "code": "ok"})

    def send(self, name: str, body: dict[str, Any]) -> None:
        with self.lock:
            self.seq += 1
            if self.seq > 2 and self.lose > 0:
                self.lose -= 1
                return
            envelope = {"stream": self.stream, "lane": "live", "seq": self.seq}
            payload = json.dumps({**envelope, **body})
        self.last = self.client.publish(self.prefix + name, payload, qos=1)


STOP = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: STOP.set())
if __name__ == "__main__":
    wishes = {key: float(value) for key, value in (a.split("=") for a in sys.argv[4:])}
    StandIn(yaml.safe_load(Path(sys.argv[1]).read_text()), wishes).run()
