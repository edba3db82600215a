"""The live screen: one picture at a time, for any size of terminal and of depot."""

import asyncio
from typing import Any

import pytest

from edgectl.cli.output import broken, fit
from edgectl.cli.watch import screen
from edgectl.model.local_api import HttpRequest, Peer
from tests.api.world import ALARM, CRITICAL, FixedFacts, record
from tests.cli.depot import api

ROOT = Peer(pid=1, uid=0, gids=frozenset())


def status(*, evses: int = 6, nodes: int = 2, alarms: int = 2) -> dict[str, Any]:
    handler = api(facts=FixedFacts(record(alarms=(ALARM, CRITICAL))))
    response = asyncio.run(handler.handle(HttpRequest("GET", "/v1/status", ROOT)))
    answer: Any = response.json
    bay, node = answer["evses"]["bay01"], answer["nodes"]["tx1"]
    answer["evses"] = {f"bay{n:03d}": dict(bay) for n in range(evses)}
    answer["nodes"] = {f"feeder-{n}": dict(node) for n in range(nodes)}
    answer["alarms"] = [
        {"severity": "alarm", "code": f"code_{n}", "id": f"bay{n:03d}", "text": "it is wrong " * 9}
        for n in range(alarms)
    ]
    return dict(answer)


EVENTS = [
    {
        "number": n,
        "code": "evse_state",
        "severity": "info",
        "id": "bay01",
        "t": "2027-01-15T07:59:00.000Z",
        "text": "bay01 went from absent to plugged",
    }
    for n in range(30)
]


@pytest.mark.parametrize("evses", [1, 6, 60, 1000])
@pytest.mark.parametrize("nodes", [1, 8, 200])
def test_it_fits_24_lines_and_says_what_is_not_shown(evses: int, nodes: int) -> None:
    lines = screen(status(evses=evses, nodes=nodes, alarms=5), EVENTS, columns=80, rows=24)
    assert len(lines) <= 26, "a depot in trouble may take two lines more, which are then cut"
    shown = sum(line.startswith("bay") for line in lines)
    if shown < evses:
        assert any(line.startswith(f"and {evses - shown} more: ") for line in lines)
    if nodes > 6:
        assert f"and {nodes - 6} nodes that are less full" in lines
    assert all(fit(line, 80).isascii() for line in lines)


def test_those_in_trouble_come_first_and_the_fullest_node() -> None:
    answer = status(evses=40, nodes=3)
    answer["evses"]["bay033"]["state"] = "silent"
    answer["evses"]["bay021"]["state"] = "fault"
    answer["nodes"]["feeder-2"] = answer["nodes"]["feeder-2"] | {"base_a": [90.0, 20.0, 20.0]}
    lines = screen(answer, [], columns=80, rows=24)
    bays = [line.split()[0] for line in lines if line.startswith("bay")]
    assert bays[:2] == ["bay021", "bay033"]
    assert lines[3].startswith("feeder-2  L1 [")
    assert "168 of 100 A" in lines[3]
    assert lines[3].count("!") >= 1, "more than the ceiling is not drawn as if it fitted"


def test_a_node_without_any_ceiling_is_left_out() -> None:
    answer = status(nodes=2)
    answer["nodes"]["feeder-1"] = {
        key: value
        for key, value in answer["nodes"]["feeder-1"].items()
        if not key.startswith("ceiling")
    }
    lines = screen(answer, [], columns=80, rows=24)
    assert not any(line.startswith("feeder-1") for line in lines)


def test_what_is_cut_shows_that_it_is_cut_and_what_is_broken_is_whole() -> None:
    assert fit("abcdef", 4) == "abc>"
    assert fit("abcd", 4) == "abcd"
    text = "WARNING code bay01: " + "word " * 40
    lines = broken(text, 80)
    assert all(len(line) <= 80 for line in lines)
    assert " ".join(line.strip() for line in lines) == text.strip()
