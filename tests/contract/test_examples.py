"""Every example of the page of contracts, with values in it, against the generated schemas.

`PAGE` holds the page's own words for the fields, copied; where the page itself lies beside the
repository they are compared with it.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from edgectl.cli.main import main
from edgectl.contract.schemas import schemas
from edgectl.sitefile.schema import site_schema

CONTRACTS = Path(__file__).parents[3] / "shared" / "CONTRACTS.md"

T = "2026-03-01T16:00:00.000Z"
ENVELOPE = {"schema": "edgectl/v1/x", "site": "depot-north", "stream": "s", "lane": "live"}
ENVELOPE |= {"made_at": T}
PRESENCE = {"schema": "edgectl/v1/x", "site": "depot-north", "stream": "s", "made_at": T}
COMMAND = {"command_id": "c-1", "issuer": "utility-x", "made_at": T, "expires_at": T}


def outbox(**body: Any) -> dict[str, Any]:
    return ENVELOPE | {"seq": 7} | body


EVENT = {
    "objectType": "EVENT",
    "id": "evt-1",
    "createdDateTime": T,
    "modificationDateTime": T,
    "programID": "prog-1",
    "intervalPeriod": {"start": T, "duration": "PT2H"},
    "intervals": [{"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [120.0]}]}],
}

PROBLEM = {
    "nodes": [
        {
            "id": "grid",
            "parent": None,
            "ceiling_a": [400, 400, 400],
            "ceiling_va": None,
            "base_a": [35.0, 28.5, 31.0],
        }
    ],
    "evses": [
        {
            "id": "e1",
            "node": "grid",
            "phases": [1, 2, 3],
            "connection": "line_to_neutral",
            "weight": 1.0,
            "tier": 0,
            "min_a": 6.0,
            "max_a": 32.0,
            "step_a": 0.0,
        }
    ],
    "voltage_v": 230.0,
}

EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "mqtt/status": [
        PRESENCE | {"state": "online", "since": T, "version": "1.0.0", "config_hash": "abc"},
        PRESENCE | {"state": "offline", "version": "1.0.0", "config_hash": "abc"},
    ],
    "mqtt/site": [
        PRESENCE
        | {
            "nodes": [{"id": "grid", "limit_a": [400, 400, None]}],
            "meters": [{"id": "m-grid", "node": "grid", "profile": "janitza-umg96rm"}],
            "evses": [
                {"id": "bay01", "node": "grid", "profile": "p", "phases": [2, 3, 1], "max_a": 32}
            ],
            "programs": [{"id": "prog-1", "kind": "mandatory"}],
            "quantities": {"power_w": {"unit": "W", "scale": 1, "every_s": 10, "on_change": False}},
            "capabilities": ["telemetry"],
        }
    ],
    "mqtt/telemetry": [
        outbox(
            samples=[
                {"id": "bay01", "q": "power_w", "t": T, "v": 1.5, "quality": "good"},
                {"id": "grid", "q": "base_a.1", "t": T, "v": 1, "min": 0, "max": 2}
                | {"quality": "stale"},
            ]
        )
    ],
    "mqtt/event": [
        outbox(code="alarm_raised", severity="alarm", id="grid", t=T, text="x", data={"a": 1.0})
    ],
    "mqtt/dr/event/{event_id}": [EVENT],
    "mqtt/dr/index": [{"made_at": T, "events": {"evt-1": T}}],
    "mqtt/dr/response": [
        outbox(
            event_id="evt-1",
            program_id="prog-1",
            modified=T,
            state="partial",
            code="not_supported",
            promised_w=12_000.0,
            impact=[{"evse": "bay01", "missing_wh": 4000.0}],
        ),
        outbox(event_id="evt-1", program_id="prog-1", modified=T, state="accepted", impact=[]),
    ],
    "mqtt/command/limit": [
        COMMAND | {"node": "grid", "limit_a": [100.0], "duration_s": 600.0, "reason": "test"},
        COMMAND | {"evse": "bay01", "limit_w": 0.0, "duration_s": 600.0, "reason": "test"},
    ],
    "mqtt/command/pause": [
        COMMAND | {"evse": "bay01", "duration_s": 600.0, "reason": "test"},
        COMMAND | {"evse": "bay01", "reason": "test"},
    ],
    "mqtt/command/resume": [COMMAND | {"evse": "bay01", "reason": "test"}],
    "mqtt/command/target": [
        COMMAND | {"evse": "bay01", "energy_wh": 4000.0, "departure": T},
        COMMAND
        | {"evse": "bay01", "vehicle": "bus 7", "energy_wh": 0.0, "departure": T, "priority": 1},
    ],
    "mqtt/command/release": [COMMAND | {"target_command_id": "c-0"}],
    "mqtt/command/response": [
        outbox(command_id="c-1", result="accepted", message="done", until=T),
        outbox(command_id="c-1", result="rejected", code="expired", message="too late"),
    ],
    "allocate/problem": [PROBLEM],
    "allocate/answer": [
        {
            "setpoints_a": {"e1": 32.0},
            "reasons": {"e1": {"code": "node_ceiling", "node": "grid", "phase": "va"}},
            "deficits": {"grid": {"1": 2.0, "va": 100.0}},
        }
    ],
    "allocate/error": [{"error": {"code": "cycle", "element": "grid", "message": "x"}}],
    "local/error": [{"error": {"code": "x", "message": "what", "remedy": "do"}}],
}

PAGE: dict[str, str] = {
    "mqtt/status": '{"state": "online\\|offline", "since", "version", "config_hash"}',
    "mqtt/site": '{"nodes": [{"id", ..}], "meters": [{"id", ..}], "evses": [{"id", "node", ..}], '
    '"programs": [{"id", "kind"}], "quantities": {q: {"unit", "scale"}}, "capabilities": [...]}',
    "mqtt/telemetry": '{"samples": [{"id", "q", "t", "v", "min"?, "max"?, "quality"}]}',
    "mqtt/event": '{"code", "severity", "id", "t", "text", "data"}',
    "mqtt/dr/index": '{"made_at", "events": {id: modificationDateTime}}',
    "mqtt/dr/response": '{"event_id", "program_id", "modified", "state": "received\\|accepted'
    '\\|partial\\|refused\\|active\\|completed\\|cancelled", "code", "promised_w"?, '
    '"impact": [{"evse", "missing_wh"}]}',
    "mqtt/command/limit": '{"command_id", "issuer", "made_at", "expires_at", "node"\\|"evse", '
    '"limit_a": [..]\\|"limit_w", "duration_s", "reason"}',
    "mqtt/command/pause": '{"command_id", "issuer", "made_at", "expires_at", "evse", '
    '"duration_s"?, "reason"}',
    "mqtt/command/resume": '{"command_id", "issuer", "made_at", "expires_at", "evse", '
    '"duration_s"?, "reason"}',
    "mqtt/command/target": '{"command_id", ..., "evse", "vehicle"?, "energy_wh", "departure", '
    '"priority"?}',
    "mqtt/command/release": '{"command_id", ..., "target_command_id"}',
    "mqtt/command/response": '{"command_id", "result": "accepted\\|rejected\\|duplicate", "code", '
    '"message", "until"?}',
    "allocate/answer": '{"setpoints_a": {"e1": 32.0}, "reasons": {"e1": {"code", "node"?, '
    '"phase"?: 1|2|3|"va", "side"?: "primary"}},\n"deficits": {node: {"1": amps, "va": voltamps}}}',
    "allocate/error": '{"error": {"code", "element", "message"}}',
    "local/error": '{"error": {"code", "message", "remedy"}}',
}

WORDS = {"online", "offline", "received", "accepted", "partial", "refused", "active", "completed"}
WORDS |= {"cancelled", "rejected", "duplicate", "e1", "va", "primary", "1", "duration_s"}


@cache
def known() -> dict[str, Any]:
    return schemas()


def valid(value: object, schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(value, schema, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_agrees_with_its_schema(name: str) -> None:
    schema = known()[name]
    for example in EXAMPLES[name]:
        valid(example, schema)
        for field in schema.get("required", ()):
            with pytest.raises(jsonschema.ValidationError):
                valid({key: one for key, one in example.items() if key != field}, schema)


@pytest.mark.parametrize("name", PAGE)
def test_every_field_of_the_page_is_in_the_schema(name: str) -> None:
    text = str(known()[name])
    missing = {
        field
        for field in set(re.findall(r'"([a-z0-9_]+)"', PAGE[name])) - WORDS
        if f"'{field}'" not in text
    }
    assert missing == set()


def test_a_field_that_a_later_version_adds_breaks_no_reader() -> None:
    for name, examples in EXAMPLES.items():
        if name.startswith("mqtt/"):
            valid(examples[0] | {"new_in_a_later_version": {"x": 1}}, known()[name])


def test_everything_that_goes_out_has_a_version_in_its_schema_field() -> None:
    for name in ("telemetry", "event", "status", "site", "dr/response", "command/response"):
        assert "schema" in known()[f"mqtt/{name}"]["required"], name


def test_the_examples_and_the_copies_are_those_of_the_page() -> None:
    if not CONTRACTS.exists():
        pytest.skip(f"the page of contracts is not beside this repository ({CONTRACTS})")
    page = " ".join(CONTRACTS.read_text(encoding="utf-8").split())
    for name, words in PAGE.items():
        assert " ".join(words.split()) in page, name
    topics = set(re.findall(r"^\| `([a-z/{}_]+)`", CONTRACTS.read_text("utf-8"), re.MULTILINE))
    topics |= {"command/resume"}
    named = {name.removeprefix("mqtt/") for name in EXAMPLES}
    # A bare or wrapped event has the schema of an event; a heartbeat has no body at all.
    assert topics - named == {"dr/event", "dr/heartbeat/{program_id}", "report/{name}"}


def test_the_skeleton_of_the_site_file_agrees_with_the_editors_schema() -> None:
    if not CONTRACTS.exists():
        pytest.skip(f"the page of contracts is not beside this repository ({CONTRACTS})")
    found = re.search(r"```yaml\n(site:.*?)```", CONTRACTS.read_text("utf-8"), re.DOTALL)
    assert found is not None
    skeleton = yaml.safe_load(found.group(1))
    # JSON has no keys that are numbers.
    for program in skeleton["programs"]:
        levels = program["simple_levels"]
        program["simple_levels"] = {str(level): part for level, part in levels.items()}
    valid(skeleton, site_schema())


def test_the_problem_of_the_page_is_solved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "problem.json"
    file.write_text(json.dumps(PROBLEM))
    assert main(["allocate", str(file)]) == 0
    assert '"e1": 32.0' in capsys.readouterr().out
