"""The schemas that we publish agree with what we take and send."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edgectl.contract import commands, dr
from edgectl.contract.commands import (
    LOCAL_ONLY,
    CommandResponse,
    CommandResult,
    Verb,
    parse_command,
)
from edgectl.contract.dr import DrResponse, DrState
from edgectl.contract.envelope import payload, row
from edgectl.contract.refusal import RefusalCode
from edgectl.errors import Refused
from edgectl.model.telemetry import Lane, StoredRow

CONTRACTS = Path(__file__).parents[2] / ".." / "shared" / "CONTRACTS.md"

COMMON = {
    "command_id": "c1",
    "issuer": "utility-x",
    "made_at": "2026-11-24T12:00:00Z",
    "expires_at": "2026-11-24T12:05:00Z",
    "reason": "r",
}
GOOD: dict[Verb, dict[str, Any]] = {
    Verb.LIMIT: {"node": "grid", "limit_a": [1, None, 3.5], "duration_s": 60},
    Verb.PAUSE: {"evse": "bay01", "duration_s": 60},
    Verb.RESUME: {"evse": "bay01"},
    Verb.TARGET: {
        "evse": "bay01",
        "vehicle": "7",
        "energy_wh": 1000,
        "departure": "2026-11-25T05:00:00Z",
        "priority": 1,
    },
    Verb.RELEASE: {"target_command_id": "c0"},
}

REMOTE = [verb for verb in Verb if verb not in LOCAL_ONLY]


def test_what_is_only_for_the_technician_has_no_topic() -> None:
    assert LOCAL_ONLY
    published = set(commands.schemas())
    assert not {f"command/{verb.value}" for verb in LOCAL_ONLY} & published


@pytest.mark.parametrize("verb", REMOTE)
def test_a_good_command_is_good_by_the_schema_and_by_us(verb: Verb) -> None:
    schema = commands.schemas()[f"command/{verb.value}"]
    body = COMMON | GOOD[verb]
    jsonschema.Draft202012Validator(schema).validate(body)
    assert parse_command(verb, body).command_id == "c1"


@pytest.mark.parametrize("verb", REMOTE)
@pytest.mark.parametrize("field", ["command_id", "issuer", "made_at", "expires_at"])
def test_what_the_contract_requires_is_required(verb: Verb, field: str) -> None:
    schema = commands.schemas()[f"command/{verb.value}"]
    body = {key: value for key, value in (COMMON | GOOD[verb]).items() if key != field}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(body)
    with pytest.raises(Refused, match=field):
        parse_command(verb, body)


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        (
            commands.schemas()["command/response"],
            CommandResponse(
                command_id="c1",
                result=CommandResult.REJECTED,
                code=RefusalCode.EXPIRED,
                message="m",
                remedy="r",
            ),
        ),
        (
            dr.schemas()["dr/response"],
            DrResponse(
                event_id="e1",
                program_id="p1",
                modified="2026-11-24T12:00:00.000Z",
                state=DrState.PARTIAL,
                code=RefusalCode.NOT_SUPPORTED,
                not_acted_on=("PRICE",),
            ),
        ),
    ],
)
def test_answers_as_published_agree_with_their_schema(
    schema: dict[str, Any], body: CommandResponse | DrResponse
) -> None:
    stored = StoredRow(seq=1, row=row("x", body, made_utc_s=1.0))
    sent = json.loads(payload(stored, site="s", stream="t", lane=Lane.LIVE))
    jsonschema.Draft202012Validator(schema).validate(sent)
    assert None not in sent.values()
    assert sent["schema"] == body.schema_id


def test_the_refusal_codes_of_the_contract_are_all_there() -> None:
    if not CONTRACTS.exists():
        pytest.skip(f"the contracts are not at {CONTRACTS}")
    text = CONTRACTS.read_text(encoding="utf-8")
    listed = text.split("**Refusal codes**:")[1].split("\n- **")[0]
    assert set(re.findall(r"`(\w+)`", listed)) <= {code.value for code in RefusalCode}


def test_the_states_of_the_contract_are_all_there() -> None:
    if not CONTRACTS.exists():
        pytest.skip(f"the contracts are not at {CONTRACTS}")
    text = CONTRACTS.read_text(encoding="utf-8")
    listed = re.search(r'"state": "(received[^"]*)"', text)
    assert listed is not None
    assert set(re.split(r"\\?\|", listed[1])) == {state.value for state in DrState}
