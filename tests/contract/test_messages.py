"""The bodies that go out: the fields of the contract, stable bytes, nothing that is not so."""

import json
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from edgectl.contract import topics
from edgectl.contract.birth import BirthFacts, birth, presence
from edgectl.contract.envelope import payload, rfc3339, to_json
from edgectl.contract.messages import (
    SAMPLES_MAX,
    Event,
    Sample,
    Telemetry,
    event_row,
    schemas,
    telemetry_rows,
    thin,
)
from edgectl.contract.vocabulary import UNITS, EvseStatus, Quality, Quantity, Severity
from edgectl.model.telemetry import Detail, Lane, OutRow, StoredRow
from tests.mqtt.site import FACTS, SITE

# Typed from the page of the contract: what outsiders rely on may grow and never be renamed.
QUANTITIES = {
    "current_a.1",
    "current_a.2",
    "current_a.3",
    "voltage_v.1",
    "power_w",
    "power_w.1",
    "energy_import_wh",
    "energy_export_wh",
    "setpoint_a",
    "ceiling_a.1",
    "ceiling_va",
    "base_a.1",
    "committed_a.1",
    "session_wh",
}
STATES = ["absent", "plugged", "asking", "charging", "paused", "fault", "silent", "isolated"]
ENVELOPE = {"schema", "site", "stream", "lane", "seq", "made_at"}


def a_sample(**changes: Any) -> Sample:
    fields: dict[str, Any] = {
        "id": "bay01",
        "q": "current_a.1",
        "t": "2026-03-01T16:00:00.000Z",
        "v": 12.5,
        "quality": "good",
    }
    return Sample(**(fields | changes))


def an_event(**changes: Any) -> Event:
    fields: dict[str, Any] = {
        "code": "alarm_raised",
        "severity": "alarm",
        "id": "grid",
        "t": "2026-03-01T16:00:00.000Z",
        "text": "too much",
        "data": {"alarm": "over_ceiling", "measured_a": 412.5},
    }
    return Event(**(fields | changes))


def published(row: OutRow, lane: Lane = Lane.LIVE) -> dict[str, Any]:
    body = json.loads(payload(StoredRow(seq=7, row=row), site="depot", stream="s1", lane=lane))
    assert isinstance(body, dict)
    return body


def test_the_words_of_the_contract_are_there() -> None:
    assert {quantity.value for quantity in Quantity} >= QUANTITIES
    assert [state.value for state in EvseStatus] == STATES
    assert [one.value for one in Quality] == ["good", "stale", "bad"]
    assert [one.value for one in Severity] == ["info", "warning", "alarm", "critical"]


def test_every_quantity_has_the_unit_that_its_name_says() -> None:
    assert UNITS[Quantity.CURRENT_A_2] == UNITS[Quantity.SETPOINT_A] == "A"
    assert UNITS[Quantity.VOLTAGE_V_1] == "V"
    assert UNITS[Quantity.POWER_W_3] == UNITS[Quantity.POWER_W] == "W"
    assert UNITS[Quantity.CEILING_VA] == "VA"
    assert UNITS[Quantity.SESSION_WH] == UNITS[Quantity.ENERGY_EXPORT_WH] == "Wh"


@pytest.mark.parametrize(
    ("utc_s", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_767_225_600.25, "2026-01-01T00:00:00.250Z"),
        (1_767_225_599.9999, "2026-01-01T00:00:00.000Z"),
    ],
)
def test_times_are_utc_to_the_millisecond(utc_s: float, text: str) -> None:
    assert rfc3339(utc_s) == text


def test_a_payload_is_the_envelope_and_the_body_and_stays_the_same_bytes() -> None:
    (row,) = telemetry_rows([a_sample()], made_utc_s=1_767_225_600.0)
    stored = StoredRow(seq=7, row=row)
    first = payload(stored, site="depot", stream="s1", lane=Lane.BACKFILL)
    assert first == payload(stored, site="depot", stream="s1", lane=Lane.BACKFILL)
    assert first == (
        b'{"schema":"edgectl/v1/telemetry","site":"depot","stream":"s1","lane":"backfill",'
        b'"seq":7,"made_at":"2026-01-01T00:00:00.000Z","samples":[{"id":"bay01",'
        b'"q":"current_a.1","t":"2026-03-01T16:00:00.000Z","v":12.5,"quality":"good"}]}'
    )


def test_an_empty_body_still_makes_a_whole_payload() -> None:
    assert published(OutRow(topic="t", schema="s", made_utc_s=0.0, body=b"{}")).keys() == ENVELOPE


def test_what_does_not_apply_is_left_out() -> None:
    text = to_json(Telemetry(samples=(a_sample(), a_sample(min=0.0, max=20.0))))
    plain, spread = json.loads(text)["samples"]
    assert plain.keys() == {"id", "q", "t", "v", "quality"}
    assert spread["min"] == 0.0
    assert "thinned" not in json.loads(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_value_that_json_cannot_say(value: float) -> None:
    with pytest.raises(ValidationError):
        a_sample(v=value)


def test_a_word_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(ValidationError):
        a_sample(q="current_ma.1")
    with pytest.raises(ValidationError):
        an_event(code="something_else")


def test_published_messages_agree_with_their_schemas() -> None:
    facts = BirthFacts(site=SITE, version="0.1.0", config_hash="abc")
    (telemetry,) = telemetry_rows([a_sample(), a_sample(min=1.0, max=2.0)], made_utc_s=0.0)
    messages = {
        "telemetry": published(telemetry),
        "event": published(event_row(an_event(), made_utc_s=0.0)),
        "status": json.loads(to_json(presence(facts, online=True, stream="s1", made_utc_s=0.0))),
        "site": json.loads(to_json(birth(facts, stream="s1", made_utc_s=0.0))),
    }
    known = schemas()
    for name, message in messages.items():
        schema = known[name]
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(message, schema, cls=jsonschema.Draft202012Validator)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({}, schema, cls=jsonschema.Draft202012Validator)
    assert {"telemetry", "event"} <= known.keys()
    assert messages["telemetry"].keys() >= ENVELOPE
    assert messages["event"].keys() >= ENVELOPE


def test_the_birth_says_what_there_is_and_leaves_absent_limits_out() -> None:
    told = json.loads(to_json(birth(FACTS, stream="s1", made_utc_s=0.0)))
    assert told["nodes"] == [
        {"id": "grid", "limit_a": [400.0, 400.0, 400.0]},
        {"id": "tx1", "parent": "grid", "limit_va": 150_000.0},
    ]
    assert told["meters"] == [{"id": "m-grid", "node": "grid", "profile": "p"}]
    assert told["evses"][0] == {
        "id": "bay01",
        "node": "tx1",
        "profile": "c",
        "phases": [1, 2, 3],
        "max_a": 32.0,
    }


def test_the_will_has_what_it_can_know() -> None:
    will = json.loads(
        to_json(presence(FACTS, online=False, stream="s1", made_utc_s=0.0, will=True))
    )
    assert will == {
        "schema": "edgectl/v1/status",
        "site": "depot-north",
        "stream": "s1",
        "made_at": "1970-01-01T00:00:00.000Z",
        "state": "offline",
        "version": "0.1.0",
        "config_hash": "abc",
    }


def test_many_samples_become_messages_of_bounded_size() -> None:
    rows = telemetry_rows([a_sample()] * (2 * SAMPLES_MAX + 1), made_utc_s=0.0)
    assert [row.values for row in rows] == [SAMPLES_MAX, SAMPLES_MAX, 1]
    assert max(len(row.body) for row in rows) < 64_000
    assert {row.detail for row in rows} == {Detail.FINE}


def test_thinning_leaves_coarse_telemetry_whole_and_counts_the_rest() -> None:
    (coarse,) = telemetry_rows([a_sample()] * 3, made_utc_s=1.0, detail=Detail.COARSE)
    assert thin(coarse) is coarse
    (fine,) = telemetry_rows([a_sample()] * 3, made_utc_s=1.0)
    thinned = thin(fine)
    assert published(thinned)["samples"] == []
    assert published(thinned)["thinned"] == 3
    assert thinned.values == 0
    assert thin(thinned) == thinned, "once is enough"
    event = event_row(an_event(), made_utc_s=1.0)
    assert thin(event) is event


def test_topics_turn_into_names_and_back() -> None:
    site = topics.Topics(region="bay", site="depot")
    assert site.whole(topics.DR_RESPONSE) == "edgectl/v1/bay/depot/dr/response"
    assert site.name_of("edgectl/v1/bay/depot/dr/event/e1") == "dr/event/e1"
    assert site.name_of("edgectl/v1/bay/depot2/dr/event/e1") is None
