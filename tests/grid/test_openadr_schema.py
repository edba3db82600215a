"""What we take agrees with the published schemas of OpenADR 3.0.1 and 3.1.1."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from edgectl.contract.openadr import parse_event
from edgectl.errors import Refused
from tests.grid.samples import event, limit, wire

FOLDER = Path(__file__).parents[2] / ".." / "shared" / "data" / "openadr"

COMMON: dict[str, dict[str, Any]] = {
    "plain": {},
    "all_fields": {
        "eventName": "evening cap",
        "priority": 0,
        "reportDescriptors": [
            {"payloadType": "DEMAND", "readingType": "MEAN", "units": "KW", "aggregate": True}
        ],
        "intervalPeriod": {"start": wire("16:30"), "duration": "PT30M", "randomizeStart": "PT0S"},
    },
    "nulls": {"eventName": None, "priority": None, "targets": None},
    "other_payloads": {
        "intervals": [
            {
                "id": -7,
                "payloads": [
                    {"type": "SIMPLE", "values": [1]},
                    {"type": "CURVE", "values": [{"x": 1.0, "y": 2.5}]},
                    {"type": "ALERT_OTHER", "values": ["text", True, 1.5]},
                ],
            }
        ]
    },
    "own_periods": {
        "intervals": [limit(1.5, start=wire("17:00"), duration="PT1H", randomizeStart="PT5M")]
    },
    "infinite": {"intervalPeriod": {"start": wire("16:30"), "duration": "P9999Y"}},
    "now": {"intervalPeriod": {"start": "0001-01-01T00:00:00Z", "duration": "PT0S"}},
}
ONLY_31: dict[str, dict[str, Any]] = {
    "string_targets": {"targets": ["feeder-7", "depot-north"]},
    "event_duration": {"duration": "P1D"},
}
ONLY_301: dict[str, dict[str, Any]] = {
    "typed_targets": {"targets": [{"type": "GROUP", "values": ["feeder-7"]}]},
}
CASES = [
    (file, name, changes)
    for file, extra in (("openadr3-3.1.1.yaml", ONLY_31), ("openadr3-3.0.1.yaml", ONLY_301))
    for name, changes in (COMMON | extra).items()
]


@pytest.mark.parametrize(
    ("file", "name", "changes"), CASES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_events_of_the_published_schema_are_taken(
    file: str, name: str, changes: dict[str, Any]
) -> None:
    validator = published(file)
    body = event(**changes)
    if name == "nulls":
        body |= changes
    validator.validate(body)
    assert parse_event(body).id == "evt-1"


WRONG: dict[str, dict[str, Any]] = {
    "no_program": {"programID": None},
    "program_of_wrong_type": {"programID": 7},
    "negative_priority": {"priority": -1},
    "priority_text": {"priority": "high"},
    "intervals_no_list": {"intervals": {"id": 0}},
    "interval_without_payloads": {"intervals": [{"id": 0}]},
    "interval_without_id": {"intervals": [{"payloads": [{"type": "SIMPLE", "values": [1]}]}]},
    "payload_without_type": {"intervals": [{"id": 0, "payloads": [{"values": [1]}]}]},
    "payload_without_values": {"intervals": [{"id": 0, "payloads": [{"type": "SIMPLE"}]}]},
    "value_null": {"intervals": [{"id": 0, "payloads": [{"type": "SIMPLE", "values": [None]}]}]},
    "wrong_duration": {"intervalPeriod": {"start": wire("16:30"), "duration": "1h"}},
    "id_with_slash": {"id": "a/b"},
    "wrong_object": {"objectType": "PROGRAM_"},
    "targets_of_numbers": {"targets": [1]},
}


@pytest.mark.parametrize("name", WRONG)
def test_events_against_the_published_schema_are_refused(name: str) -> None:
    body = event(**WRONG[name])
    with pytest.raises(jsonschema.ValidationError):
        published("openadr3-3.1.1.yaml").validate(body)
    with pytest.raises(Refused) as caught:
        parse_event(body)
    assert caught.value.code == "malformed"


def published(file: str, name: str = "event") -> jsonschema.Draft4Validator:
    path = FOLDER / file
    if not path.exists():
        pytest.skip(f"the published OpenADR schemas are not at {path}")
    schemas = yaml.safe_load(path.read_text(encoding="utf-8"))["components"]["schemas"]
    usable = _json_schema(deepcopy(schemas))
    # A schema of OpenAPI 3.0 is JSON Schema draft 4 but for `nullable` and discriminators.
    return jsonschema.Draft4Validator(
        {"$ref": f"#/components/schemas/{name}", "components": {"schemas": usable}}
    )


def _json_schema(node: Any) -> Any:
    if isinstance(node, list):
        return [_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: _json_schema(value) for key, value in node.items()}
    if made.pop("nullable", False) and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made
