import json
import subprocess
import sys
from io import BytesIO, StringIO
from math import log, sqrt
from pathlib import Path
from typing import Any

import pytest

from edgectl.cli.allocate import answer_lines
from edgectl.contract.allocate import Answer, Failure, Problem, answer_to, schemas
from edgectl.model.decision import ReasonCode
from tests.kernel.bridge import solve
from tests.oracle.problem import Problem as Site
from tests.oracle.problem import random_problem

EXAMPLE = """
{"nodes": [{"id": "grid", "parent": null, "ceiling_a": [400, 400, 400], "ceiling_va": null,
            "base_a": [35.0, 28.5, 31.0]}],
 "evses": [{"id": "e1", "node": "grid", "phases": [1, 2, 3], "connection": "line_to_neutral",
            "weight": 1.0, "tier": 0, "min_a": 6.0, "max_a": 32.0, "step_a": 0.0}],
 "voltage_v": 230.0}
"""


def problem(**changes: Any) -> dict[str, Any]:
    """The example with keys of its EVSE changed; None takes one out."""
    made: dict[str, Any] = json.loads(EXAMPLE)
    for key, value in changes.items():
        if value is None:
            del made["evses"][0][key]
        else:
            made["evses"][0][key] = value
    return made


def node_of(**changes: Any) -> dict[str, Any]:
    made = problem()
    made["nodes"][0] |= changes
    return made


def refusal(made: object) -> dict[str, Any]:
    answer, good = answer_to(made if isinstance(made, bytes) else json.dumps(made))
    assert not good
    Failure.model_validate_json(json.dumps(answer))
    error: dict[str, Any] = answer["error"]
    return error


def test_the_example_of_the_contract() -> None:
    answer, good = answer_to(EXAMPLE)
    assert good
    assert answer == {
        "setpoints_a": {"e1": 32.0},
        "reasons": {"e1": {"code": "own_maximum"}},
        "deficits": {},
    }
    Answer.model_validate_json(json.dumps(answer))


def test_reasons_and_deficits_name_ids_and_phases() -> None:
    made = node_of(ceiling_a=[50, 40, None])
    made["evses"].append({**made["evses"][0], "id": "e2", "phases": [2]})
    made["nodes"].append({"id": "shed", "parent": "grid", "ceiling_a": [None, 5, None]})
    made["nodes"][1]["base_a"] = [0, 7.5, 0]
    made["evses"].append({**made["evses"][0], "id": "e3", "node": "shed", "phases": [2]})
    answer, good = answer_to(json.dumps(made))
    assert good
    assert answer == {
        "setpoints_a": {"e1": 11.5, "e2": 0.0, "e3": 0.0},
        "reasons": {
            "e1": {"code": "node_ceiling", "node": "grid", "phase": 2},
            "e2": {"code": "not_admitted", "node": "grid", "phase": 2},
            "e3": {"code": "base_over_ceiling", "node": "shed", "phase": 2},
        },
        "deficits": {"shed": {"2": 2.5}},
    }


def test_optional_things_may_be_left_out() -> None:
    made = problem(connection=None, weight=None, tier=None, step_a=None)
    made["nodes"] = [{"id": "grid"}]
    answer, _ = answer_to(json.dumps(made))
    assert answer["setpoints_a"] == {"e1": 32.0}


def test_base_va_is_the_sum_over_phases_unless_given() -> None:
    va = 230.0 * (35.0 + 28.5 + 31.0)
    ceiling_va = va + 3 * 230.0 * 10.0
    answer, _ = answer_to(json.dumps(node_of(ceiling_va=ceiling_va)))
    assert answer["setpoints_a"]["e1"] == pytest.approx(10.0, abs=1e-9)
    assert answer["reasons"]["e1"] == {"code": "va_ceiling", "node": "grid", "phase": "va"}
    answer, _ = answer_to(json.dumps(node_of(ceiling_va=ceiling_va, base_va=va + 690.0)))
    assert answer["setpoints_a"]["e1"] == pytest.approx(9.0, abs=1e-9)


def test_line_to_line_behind_a_transformer() -> None:
    made = problem(connection="line_to_line", phases=[1, 2], max_a=80)
    made["voltage_v"] = 120.0
    made["nodes"] = [
        {"id": "grid", "ceiling_a": [20, None, None]},
        {
            "id": "t1",
            "parent": "grid",
            "transformer": {"winding": "delta-wye", "turns_ratio": 4.0},
            "primary_ceiling_a": [None, 30, 30],
            "base_a": [0, 69.28203230275509, 0],
        },
    ]
    made["evses"][0]["node"] = "t1"
    answer, good = answer_to(json.dumps(made))
    assert good
    # Primary B: base 10 sqrt(3) A at +30 degrees, x/2 in phase, both together 30 A.
    assert answer["setpoints_a"]["e1"] == pytest.approx(2.0 * (-15.0 + 825.0**0.5), abs=1e-9)
    assert answer["reasons"]["e1"] == {
        "code": "primary_ceiling",
        "node": "t1",
        "phase": 2,
        "side": "primary",
    }
    Answer.model_validate_json(json.dumps(answer))
    made["nodes"][1]["primary_ceiling_a"] = [10, 10, 10]
    answer, _ = answer_to(json.dumps(made))
    assert answer["setpoints_a"] == {"e1": 0.0}
    assert answer["deficits"] == {
        "t1": {
            "primary_2": pytest.approx(7.3205, abs=1e-4),
            "primary_3": pytest.approx(7.3205, abs=1e-4),
        }
    }


def test_the_voltage_above_a_transformer_follows_from_its_ratio() -> None:
    made = problem(phases=[1], max_a=500)
    made["voltage_v"] = 120.0
    made["nodes"] = [
        {"id": "grid", "ceiling_va": 24_000, "base_a": [5, 5, 5]},
        {"id": "t1", "parent": "grid", "transformer": {"winding": "delta-wye", "turns_ratio": 4}},
        {"id": "beside", "parent": "t1"},
    ]
    made["evses"][0]["node"] = "beside"
    answer, _ = answer_to(json.dumps(made))
    base_va = 15.0 * 480.0 / 3.0**0.5
    assert answer["setpoints_a"]["e1"] == pytest.approx((24_000 - base_va) / 120.0, abs=1e-9)
    made["nodes"].append(
        {"id": "t2", "parent": "grid", "transformer": {"winding": "delta-wye", "turns_ratio": 2}}
    )
    error = refusal(made)
    assert (error["code"], error["element"]) == ("bad_value", "grid")
    assert "138.6 V, 277.1 V" in error["message"]


def test_unbalance_names_the_greater_phase() -> None:
    made = problem(phases=[2])
    made["nodes"][0] |= {"unbalance_a": 20, "base_a": [8, 0, 8]}
    answer, good = answer_to(json.dumps(made))
    assert good
    assert answer["setpoints_a"] == {"e1": 28.0}
    assert answer["reasons"] == {"e1": {"code": "unbalance", "node": "grid", "phase": 2}}


def test_discharge_is_a_negative_setpoint() -> None:
    made = problem(max_discharge_a=20, min_discharge_a=6)
    made["nodes"][0] |= {"base_a": [-5, 0, 0], "export_ceiling_a": [15, 30, 30]}
    answer, good = answer_to(json.dumps(made))
    assert good
    assert answer == {
        "setpoints_a": {"e1": -10.0},
        "reasons": {"e1": {"code": "node_ceiling", "node": "grid", "phase": 1}},
        "deficits": {},
    }
    made["nodes"][0]["export_ceiling_a"][0] = 3
    answer, _ = answer_to(json.dumps(made))
    assert answer["setpoints_a"] == {"e1": 0.0}
    assert answer["deficits"] == {"grid": {"export_1": 2.0}}


def test_allowed_lists_may_stand_in_any_order() -> None:
    answer, _ = answer_to(json.dumps(problem(step_a=[24, 0, 8, 16], max_a=20)))
    assert answer["setpoints_a"] == {"e1": 16.0}


def test_nothing_at_all_is_a_problem_too() -> None:
    answer, good = answer_to('{"nodes": [], "evses": [], "voltage_v": 230}')
    assert good
    assert answer == {"setpoints_a": {}, "reasons": {}, "deficits": {}}


@pytest.mark.parametrize(
    ("made", "code", "element"),
    [
        (b"", "malformed", None),
        (b"{", "malformed", None),
        (b"\xff\xfe{", "malformed", None),
        (b"[" * 100_000, "malformed", None),
        (b'{"nodes": [], "nodes": [], "evses": [], "voltage_v": 230}', "malformed", None),
        (b'{"nodes": [], "evses": [], "voltage_v": 1' + b"0" * 5000 + b"}", "malformed", None),
        ([], "malformed", None),
        (7, "malformed", None),
        ({}, "missing_field", "nodes"),
        ({**problem(), "colour": "red"}, "unknown_field", "colour"),
        ({**problem(), "voltage_v": 0}, "out_of_range", "voltage_v"),
        ({**problem(), "voltage_v": "230"}, "bad_value", "voltage_v"),
        ({**problem(), "nodes": {}}, "bad_value", "nodes"),
        ({**problem(), "nodes": [3]}, "bad_value", "nodes[0]"),
        ({**problem(), "nodes": []}, "unknown_node", "e1"),
        (node_of(colour="red"), "unknown_field", "grid"),
        (node_of(id=""), "bad_value", "nodes[0]"),
        (node_of(parent="moon"), "unknown_node", "grid"),
        (node_of(parent="grid"), "cycle", "grid"),
        (node_of(ceiling_a=[1, 2]), "bad_value", "grid"),
        (node_of(ceiling_a=[1, 2, -3]), "out_of_range", "grid"),
        (node_of(ceiling_a=[1, 2, True]), "bad_value", "grid"),
        (node_of(ceiling_va=float("inf")), "not_finite", "grid"),
        (node_of(base_a=[1, 2, float("nan")]), "not_finite", "grid"),
        (node_of(base_a=[1, 2, None]), "bad_value", "grid"),
        (node_of(base_a=[1e9, 1e9, 1e9]) | {"voltage_v": 1e6}, "out_of_range", "grid"),
        (node_of(unbalance_a=-1), "out_of_range", "grid"),
        (node_of(unbalance_a=[10]), "bad_value", "grid"),
        (
            node_of(unbalance_a=10, transformer={"winding": "delta-wye", "turns_ratio": 4.0}),
            "not_supported",
            "grid",
        ),
        (node_of(export_ceiling_a=[1, 1]), "bad_value", "grid"),
        (node_of(export_ceiling_va=-1), "out_of_range", "grid"),
        (node_of(transformer={"winding": "delta-wye"}), "missing_field", "grid"),
        (node_of(transformer={"winding": "star", "turns_ratio": 4.0}), "bad_value", "grid"),
        (node_of(transformer={"winding": "delta-wye", "turns_ratio": 0}), "out_of_range", "grid"),
        (node_of(primary_ceiling_a=[1, 1, 1]), "bad_value", "grid"),
        (problem(node="moon"), "unknown_node", "e1"),
        (problem(phases=[]), "empty_phases", "e1"),
        (problem(phases=[4]), "bad_value", "e1"),
        (problem(phases=[1, 1]), "bad_value", "e1"),
        (problem(phases=[True]), "bad_value", "evses"),
        (problem(phases="123"), "bad_value", "e1"),
        (problem(connection="line_to_line"), "bad_value", "e1"),
        (problem(connection="line_to_line", phases=[1]), "bad_value", "e1"),
        (problem(connection="wireless"), "bad_value", "e1"),
        (problem(max_discharge_a=-1), "out_of_range", "e1"),
        (problem(max_discharge_a=10, pause_a=1), "bad_value", "e1"),
        (problem(weight=0), "out_of_range", "e1"),
        (problem(weight=-1), "out_of_range", "e1"),
        (problem(weight=float("nan")), "not_finite", "e1"),
        (problem(tier=-1), "out_of_range", "e1"),
        (problem(tier=0.5), "bad_value", "e1"),
        (problem(min_a=-1), "out_of_range", "e1"),
        (problem(min_a=None), "missing_field", "e1"),
        (problem(max_a=float("inf")), "not_finite", "e1"),
        (problem(max_a=1e10), "out_of_range", "e1"),
        (problem(max_a="32"), "bad_value", "e1"),
        (problem(step_a=1e-4), "out_of_range", "e1"),
        (problem(step_a=-1), "out_of_range", "e1"),
        (problem(step_a=[]), "bad_value", "e1"),
        (problem(step_a=[6, float("nan")]), "not_finite", "e1"),
        (problem(step_a="fine"), "bad_value", "e1"),
        (problem(pause_a=-1), "out_of_range", "e1"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_bad_problems_get_an_error_and_no_number(
    made: object, code: str, element: str | None
) -> None:
    error = refusal(made)
    assert (error["code"], error["element"]) == (code, element)
    assert error["message"]
    assert error["remedy"]
    assert "nput" not in error["message"], "the words of the library are not ours"


@pytest.mark.parametrize(
    ("made", "message", "remedy"),
    [
        (
            problem(maxa=32, max_a=None),
            "evses[0].maxa: there is no such key",
            "write max_a, or remove it",
        ),
        (
            node_of(colour="red"),
            "nodes[0].colour: there is no such key",
            (
                "remove it; there are id, parent, ceiling_a, ceiling_va, base_a, base_va,"
                " unbalance_a, export_ceiling_a, export_ceiling_va, transformer, primary_ceiling_a"
            ),
        ),
        (
            node_of(transformer={"winding": "star", "turns_ratio": 4.0}),
            "nodes[0].transformer.winding: it must be 'delta-wye'",
            "write 'delta-wye'",
        ),
        (
            problem(max_a="32"),
            "evses[0].max_a: it must be a number",
            "write a number, without quotes",
        ),
        (problem(weight=0), "evses[0].weight: it must be at least 1e-06", "write a greater number"),
        (node_of(ceiling_a=[1, 2]), "nodes[0].ceiling_a: it has 2 values", "write at least 3"),
        ({}, "nodes: it is missing", "add it"),
        (3, "it must be an object", "write an object in curly brackets"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_an_error_says_where_what_and_what_to_do(made: object, message: str, remedy: str) -> None:
    error = refusal(made)
    assert (error["message"], error["remedy"]) == (message, remedy)


@pytest.mark.parametrize("connection", ["line_to_neutral", "line_to_line"])
@pytest.mark.parametrize("ratio", [1e-3, 0.3, 1.2, 5.0, 1000.0])
def test_more_transformers_in_a_row_than_can_be_counted_are_refused(
    ratio: float, connection: str
) -> None:
    for count in range(1, 60):
        made = problem(phases=[1, 2], connection=connection, node="t0")
        transformer = {"winding": "delta-wye", "turns_ratio": ratio}
        made["nodes"] = [
            {"id": f"t{n}", "parent": f"t{n + 1}", "transformer": transformer} for n in range(count)
        ]
        made["nodes"].append({"id": f"t{count}"})
        answer, good = answer_to(json.dumps(made))
        if not good:
            break
    assert (answer["error"]["code"], answer["error"]["element"]) == ("out_of_range", "e1")
    # A balanced current changes by the root of three over the ratio at each.
    assert abs(count * log(ratio / sqrt(3.0))) > log(1e6) - 2.0


def test_a_line_that_is_too_long_is_passed_over() -> None:
    line, answers = json.dumps(json.loads(EXAMPLE)).encode() + b"\n", StringIO()
    lines = BytesIO(line + b"[" * 10_000 + b"\n" + line + b"7" * 10_000)
    assert answer_lines(lines, answers, bytes_max=len(line)) == 2
    told = [json.loads(answer) for answer in answers.getvalue().splitlines()]
    assert [one.get("error", {}).get("code") for one in told] == [None, "too_large"] * 2


def test_long_cycles_and_double_ids_are_named() -> None:
    made = problem()
    made["nodes"] += [{"id": "a", "parent": "c"}, {"id": "b", "parent": "a"}]
    made["nodes"] += [{"id": "c", "parent": "b"}]
    error = refusal(made)
    assert error["code"] == "cycle"
    assert error["message"] == "parents go round: a -> c -> b -> a"
    made = problem()
    made["evses"] *= 2
    assert refusal(made)["element"] == "e1"
    made = problem()
    made["nodes"] *= 2
    assert refusal(made)["code"] == "duplicate_id"


def test_random_sites_get_the_same_through_json() -> None:
    for seed in range(60):
        site = random_problem(seed)
        if any(len(set(node.voltage_v)) > 1 for node in site.nodes):
            continue
        answer, good = answer_to(_as_json(site))
        assert good
        queue = {f"e{i}": i for i in site.queue}
        assert list(answer["setpoints_a"]) == list(queue)
        ours = solve(site)
        for name, i in queue.items():
            assert answer["setpoints_a"][name] == ours.setpoint_a[i]
            assert answer["reasons"][name]["code"] == ours.stops[i].code


def test_every_reason_code_is_one_of_the_contract() -> None:
    told = {code.value for code in list(ReasonCode)[:9]}
    assert told == {
        "own_maximum",
        "node_ceiling",
        "primary_ceiling",
        "va_ceiling",
        "unbalance",
        "increment",
        "not_admitted",
        "base_over_ceiling",
        "no_demand",
    }


def test_schemas_are_those_of_the_models() -> None:
    assert schemas()["problem"] == Problem.model_json_schema()
    assert set(schemas()) == {"problem", "answer", "error"}


def test_a_file_is_answered_for_people_and_programs(tmp_path: Path) -> None:
    path = tmp_path / "problem.json"
    path.write_text(EXAMPLE)
    done = _edgectl(str(path))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["setpoints_a"] == {"e1": 32.0}
    assert len(done.stdout.splitlines()) > 5


def test_a_bad_file_is_exit_code_2_without_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "problem.json"
    path.write_text("{")
    done = _edgectl(str(path))
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "malformed"
    missing = _edgectl(str(tmp_path / "none.json"))
    assert missing.returncode == 2
    assert "none.json cannot be read" in missing.stderr
    assert "Traceback" not in done.stderr + missing.stderr


def test_lines_are_answered_one_by_one_and_bad_ones_do_not_stop_them() -> None:
    line = json.dumps(json.loads(EXAMPLE))
    done = _edgectl("-", stdin=f"{line}\n{{\n\n{line}")
    answers = [json.loads(answer) for answer in done.stdout.splitlines()]
    assert done.returncode == 2
    assert [min(answer) for answer in answers] == ["deficits", "error", "deficits"]
    assert _edgectl("-", stdin=line).returncode == 0
    assert _edgectl("-", stdin="").stdout == ""


def test_an_answer_comes_before_the_next_line_is_sent() -> None:
    line = json.dumps(json.loads(EXAMPLE)) + "\n"
    with subprocess.Popen(
        [*COMMAND, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(3):
            process.stdin.write(line)
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["setpoints_a"] == {"e1": 32.0}
        process.stdin.close()
        assert process.wait() == 0


COMMAND = [sys.executable, "-m", "edgectl.cli.main", "allocate"]


def _edgectl(target: str, *, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, target], input=stdin, capture_output=True, text=True, check=False
    )


def _as_json(site: Site) -> str:
    nodes = [
        {
            "id": f"n{n}",
            "parent": None if node.parent is None else f"n{node.parent}",
            "ceiling_a": node.ceiling_a,
            "ceiling_va": node.ceiling_va,
            "base_a": node.base_a,
            "base_va": node.base_va,
        }
        for n, node in enumerate(site.nodes)
    ]
    evses = [
        {
            "id": f"e{i}",
            "node": f"n{site.evses[i].node}",
            "phases": sorted(site.evses[i].phases),
            "weight": site.evses[i].weight,
            "tier": site.evses[i].tier,
            "min_a": site.evses[i].min_a,
            "max_a": site.evses[i].max_a,
            "step_a": list(site.evses[i].allowed) or site.evses[i].step_a,
            "pause_a": site.evses[i].pause_a,
        }
        for i in site.queue
    ]
    return json.dumps({"nodes": nodes, "evses": evses, "voltage_v": 230.0})
