"""Whatever arrives on a demand-response topic becomes a refusal, never an exception."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.contract.dr import EVENT_BYTES_MAX, Deletion, DrIndex, Unusable, Upsert, read_notice
from edgectl.contract.refusal import RefusalCode
from edgectl.errors import Refused
from edgectl.grid.plan import plan
from tests.grid.samples import SITE, at, event, limit


def raw(body: Any) -> bytes:
    return json.dumps(body).encode()


# Some are as long as may be: whatever takes more than one pass over them makes this test hang.
HOSTILE: dict[str, tuple[bytes, str]] = {
    "too_large": (b"[" + b" " * EVENT_BYTES_MAX + b"]", "too_large"),
    "deep": (b"[" * 60_000, "too_large"),
    "deep_and_closed": (b'{"a":' * 40 + b"1" + b"}" * 40, "too_large"),
    "deep_behind_a_string_without_end": (b'{"a": "\\"' + b"[" * 60_000, "malformed"),
    "quotes_without_end": (b'{"id": "' + b'\\"' * (EVENT_BYTES_MAX // 2 - 8), "malformed"),
    "string_cut_at_its_escape": (b'{"id": "evt\\', "malformed"),
    "last_of_many_keys_twice": (
        raw({f"k{n}": 1 for n in range(10_000)})[:-1] + b', "k9999": 1}',
        "malformed",
    ),
    "deep_in_a_string_is_none": (raw(event(eventName="[" * 500)), ""),
    "not_json": (b"limit 60 kW please", "malformed"),
    "not_utf8": (b'{"id": "\xff\xfe"}', "malformed"),
    "list": (b"[]", "malformed"),
    "number": (b"17", "malformed"),
    "null": (b"null", "malformed"),
    "nan": (raw(event()).replace(b"60.0", b"NaN"), "malformed"),
    "infinity": (raw(event()).replace(b"60.0", b"-Infinity"), "malformed"),
    "float_overflow": (raw(event()).replace(b"60.0", b"1e999"), "malformed"),
    "integer_of_10_000_digits": (raw(event()).replace(b"60.0", b"9" * 10_000), "malformed"),
    "integer_of_19_digits": (raw(event()).replace(b"60.0", b"9" * 19), ""),
    "key_twice": (
        raw(event()).replace(b'"objectType"', b'"id": "x", "objectType"', 1),
        "malformed",
    ),
    "lone_surrogate": (raw(event()).replace(b'"evt-1"', b'"\\ud800"'), "malformed"),
    "unicode_id": (raw(event(id="\u00e9v\u00e9nement")), "malformed"),
    "null_character": (raw(event(id="evt\0")), "malformed"),
    "other_id": (raw(event(id="evt-2")), "malformed"),
    "no_intervals": (raw(event(intervals=[])), "malformed"),
    "intervals_missing": (raw(event(intervals=None)), "malformed"),
    "empty_payloads": (raw(event(intervals=[{"id": 0, "payloads": []}])), "malformed"),
    "too_many_intervals": (
        raw(event(intervals=[{"id": 0, "payloads": [{"type": "X", "values": []}]}] * 601)),
        "malformed",
    ),
    "two_units": (
        raw(
            event(
                payloadDescriptors=[
                    {"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW"},
                    {"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "W"},
                ]
            )
        ),
        "malformed",
    ),
    "too_many_targets": (raw(event(targets=["grid"] * 65)), "malformed"),
    "too_many_typed_targets": (
        raw(event(targets=[{"type": "GROUP", "values": ["grid"] * 65}])),
        "too_large",
    ),
    "target_value_no_name": (raw(event(targets=[{"type": "GROUP", "values": [7]}])), "malformed"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_payload(name: str) -> None:
    payload, code = HOSTILE[name]
    notice = read_notice("dr/event/evt-1", payload, retained=True)
    if not code:
        assert isinstance(notice, Upsert)
        return
    assert isinstance(notice, Unusable)
    assert notice.fault.code == code
    assert notice.event_id == "evt-1"
    assert len(notice.fault.message) <= 600


def test_a_wrong_field_is_named() -> None:
    notice = read_notice(
        "dr/event/evt-1",
        raw(event(intervals=[limit(1), {"id": "x", "payloads": []}])),
        retained=True,
    )
    assert isinstance(notice, Unusable)
    assert "intervals[1].id" in notice.fault.message
    assert "intervals[1].payloads" in notice.fault.message


ONE_SHOT: dict[str, tuple[Any, bool, type, str]] = {
    "bare": (event(), False, Upsert, ""),
    "bare_without_id": (event(id=None), False, Unusable, "malformed"),
    "bare_retained": (event(), True, Unusable, "retained"),
    "create": (
        {"object_type": "EVENT", "operation": "CREATE", "object": event()},
        False,
        Upsert,
        "",
    ),
    "update": (
        {"object_type": "EVENT", "operation": "UPDATE", "object": event()},
        False,
        Upsert,
        "",
    ),
    "openadr_spelling": (
        {"objectType": "EVENT", "operation": "CREATE", "object": event()},
        False,
        Upsert,
        "",
    ),
    "http_verb_of_3.0.1": (
        {"objectType": "EVENT", "operation": "PUT", "object": event()},
        False,
        Upsert,
        "",
    ),
    "delete": (
        {"object_type": "EVENT", "operation": "DELETE", "object": {"id": "evt-1"}},
        False,
        Deletion,
        "",
    ),
    "delete_without_id": (
        {"object_type": "EVENT", "operation": "DELETE", "object": {}},
        False,
        Unusable,
        "malformed",
    ),
    "wrapped_retained": (
        {"object_type": "EVENT", "operation": "DELETE", "object": {"id": "evt-1"}},
        True,
        Unusable,
        "retained",
    ),
    "program": (
        {"object_type": "PROGRAM", "operation": "CREATE", "object": {"id": "p"}},
        False,
        Unusable,
        "not_supported",
    ),
    "read": (
        {"object_type": "EVENT", "operation": "READ", "object": event()},
        False,
        Unusable,
        "not_supported",
    ),
    "no_operation": ({"object_type": "EVENT", "object": event()}, False, Unusable, "malformed"),
    "no_object": ({"object_type": "EVENT", "operation": "CREATE"}, False, Unusable, "malformed"),
    "object_no_object": (
        {"object_type": "EVENT", "operation": "CREATE", "object": [1]},
        False,
        Unusable,
        "malformed",
    ),
    "operation_no_text": (
        {"object_type": "EVENT", "operation": 1, "object": event()},
        False,
        Unusable,
        "malformed",
    ),
}


@pytest.mark.parametrize("name", ONE_SHOT)
def test_one_shot(name: str) -> None:
    body, retained, kind, code = ONE_SHOT[name]
    notice = read_notice("dr/event", raw(body), retained=retained)
    assert type(notice) is kind
    if isinstance(notice, Unusable):
        assert notice.fault.code == code


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"made_at": "2026-11-24T14:00:00Z", "events": {}}, DrIndex),
        ({"made_at": "2026-11-24T14:00:00Z", "events": {"a": "2026-11-24T14:00:00Z"}}, DrIndex),
        ({"made_at": "2026-11-24T14:00:00Z"}, Unusable),
        ({"events": {}}, Unusable),
        ({"made_at": 0, "events": {}}, Unusable),
        ({"made_at": "2026-11-24T14:00:00Z", "events": ["a"]}, Unusable),
        ({"made_at": "2026-11-24T14:00:00Z", "events": {"a": None}}, Unusable),
    ],
)
def test_index(body: Any, kind: type) -> None:
    assert type(read_notice("dr/index", raw(body), retained=True)) is kind


def verdict(notice: Upsert) -> str:
    try:
        plan(notice.event, SITE, anchor_utc_s=at("14:00"), draw=0.25)
    except Refused as fault:
        return fault.code
    return "planned"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text(max_size=20)
    | st.sampled_from(["PT1H", "PT0S", "P9999Y", "0001-01-01", "2026-11-24T16:30:00Z", "KW"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "values", "start", "duration", "id", "x"]), inner
        )
    ),
    max_leaves=12,
)
FIELDS = [
    "id",
    "objectType",
    "createdDateTime",
    "modificationDateTime",
    "programID",
    "eventName",
    "duration",
    "priority",
    "targets",
    "payloadDescriptors",
    "intervalPeriod",
    "intervals",
]


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON, min_size=1, max_size=3))
def test_any_value_in_any_field_is_planned_or_refused(changes: dict[str, Any]) -> None:
    body = event() | changes
    notice = read_notice("dr/event/evt-1", json.dumps(body).encode(), retained=True)
    if isinstance(notice, Unusable):
        assert RefusalCode(notice.fault.code)
        return
    assert isinstance(notice, Upsert)
    assert verdict(notice) in {"planned", *RefusalCode}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["dr/event", "dr/event/x", "dr/index"]))
def test_any_bytes_become_a_notice(payload: bytes, name: str) -> None:
    notice = read_notice(name, payload, retained=False)
    assert isinstance(notice, Unusable | Deletion)
