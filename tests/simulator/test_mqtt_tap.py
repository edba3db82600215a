"""Counting what the site publishes: by (stream, seq), duplicates once, a gap is a loss."""

import json

from edgectl.simulator.demo.mqtt_tap import Heard, capacity_limit_event


def message(stream: str, seq: int, **body: object) -> bytes:
    return json.dumps({"stream": stream, "lane": "live", "seq": seq, **body}).encode()


def test_gaps_are_losses_and_duplicates_count_once() -> None:
    heard = Heard()
    for seq in (1, 2, 2, 4):
        heard.take("telemetry", message("a", seq, samples=[1, 2]))
    heard.take("event", message("b", 1))
    assert (heard.published, heard.received, heard.samples) == (5, 4, 8)
    heard.take("telemetry", message("a", 3))
    assert heard.published == heard.received == 5


def test_a_lost_first_message_is_noticed() -> None:
    heard = Heard()
    heard.take("telemetry", message("a", 2))
    assert (heard.published, heard.received) == (2, 1)


def test_answers_to_the_event() -> None:
    heard = Heard()
    heard.take("dr/response", message("a", 1, event_id="e", state="received", code="ok"))
    assert not heard.answered("e")
    heard.take("dr/response", message("a", 2, event_id="e", state="accepted", code="ok"))
    assert heard.answered("e")
    assert not heard.answered("other")


def test_status_is_not_counted_and_nonsense_is_survived() -> None:
    heard = Heard()
    heard.take("status", json.dumps({"state": "offline", "stream": "a"}).encode())
    assert not heard.online.is_set()
    heard.take("status", json.dumps({"state": "online", "stream": "a"}).encode())
    assert heard.online.is_set()
    deep = b"[" * 100_000
    for payload in (b"", b"\xff", b"[1]", b'"text"', b'{"stream": 1, "seq": "x"}', deep):
        heard.take("telemetry", payload)
    assert heard.published == 0


def test_the_event_is_an_openadr_3_object() -> None:
    event = json.loads(
        capacity_limit_event(
            "e1",
            "prog",
            made_utc_s=1_767_614_400.0,
            start_utc_s=1_767_614_435.5,
            duration_s=26.0,
            limit_w=78_000.0,
        )
    )
    assert event["programID"] == "prog"
    assert event["intervalPeriod"]["start"] == "2026-01-05T12:00:35.500Z"
    assert event["intervalPeriod"]["duration"] == "PT26S"
    (interval,) = event["intervals"]
    assert interval["payloads"] == [{"type": "IMPORT_CAPACITY_LIMIT", "values": [78.0]}]
