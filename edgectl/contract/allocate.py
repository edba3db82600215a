"""The problem of `edgectl allocate` and its answer, as other programs write and read them.

1. A problem is taken whole or not at all: anything that is wrong, unknown or not supported gets an
   error in place of an answer, with the element that it is about.
2. Reading never raises: `answer_to` always has an answer.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from edgectl.contract.problem_faults import ErrorCode, WrongProblem, first_fault
from edgectl.control.kernel import (
    MAGNITUDE_MAX,
    STEP_MIN_A,
    TURNS_MAX,
    TURNS_MIN,
    WEIGHT_MAX,
    WEIGHT_MIN,
    Allocator,
    bears_ratios,
)
from edgectl.model.allocation import ROWS, Outcome
from edgectl.units import OptionalTriple, Triple

CURRENT_MAX_A: Final = 1e9
VOLTAGE_MAX_V: Final = 1e6


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


Id = Annotated[str, Field(min_length=1)]
Amperes = Annotated[float, Field(ge=0, le=CURRENT_MAX_A)]
BaseAmperes = Annotated[float, Field(ge=-CURRENT_MAX_A, le=CURRENT_MAX_A)]
Step = Annotated[float, Field(ge=0, le=CURRENT_MAX_A)]
Ceilings = Annotated[list[Amperes | None], Field(min_length=3, max_length=3)]
Power = Annotated[float, Field(ge=0, le=MAGNITUDE_MAX)]


class Transformer(_Strict):
    """`turns_ratio`: primary volts line to line over secondary volts line to neutral."""

    winding: Literal["delta-wye"]
    turns_ratio: Annotated[float, Field(ge=TURNS_MIN, le=TURNS_MAX)]


class ProblemNode(_Strict):
    """A node. `base_a` and `base_va` count everything below it, EVSEs not; fed back is negative.

    A node with a `transformer` is its secondary side, but for `primary_ceiling_a`. Currents of the
    nodes above it are primary amperes.
    """

    id: Id
    parent: Id | None = None
    ceiling_a: Ceilings | None = None
    ceiling_va: Power | None = None
    base_a: Annotated[list[BaseAmperes], Field(min_length=3, max_length=3)] = [0.0, 0.0, 0.0]
    base_va: Annotated[float, Field(ge=-MAGNITUDE_MAX, le=MAGNITUDE_MAX)] | None = None
    unbalance_a: Amperes | None = None
    export_ceiling_a: Ceilings | None = None
    export_ceiling_va: Power | None = None
    transformer: Transformer | None = None
    primary_ceiling_a: Ceilings | None = None


def _step_kind(value: object) -> str:
    return "[list]" if isinstance(value, list) else "[number]"


class ProblemEvse(_Strict):
    """An EVSE. `phases` is a set; `step_a`: 0 is continuous, a list holds the allowed currents.

    With `max_discharge_a` > 0 it discharges and does not charge: its setpoint is negative or 0.
    """

    id: Id
    node: Id
    phases: Annotated[list[Literal[1, 2, 3]], Field(max_length=3)]
    connection: Literal["line_to_neutral", "line_to_line"] = "line_to_neutral"
    weight: Annotated[float, Field(ge=WEIGHT_MIN, le=WEIGHT_MAX)] = 1.0
    tier: Annotated[int, Field(ge=0, le=10**9)] = 0
    min_a: Amperes
    max_a: Amperes
    step_a: Annotated[
        Annotated[Step, Tag("[number]")]
        | Annotated[Annotated[list[Amperes], Field(min_length=1)], Tag("[list]")],
        Discriminator(_step_kind),
    ] = 0.0
    pause_a: Amperes = 0.0
    max_discharge_a: Amperes = 0.0
    min_discharge_a: Amperes = 0.0


class Problem(_Strict):
    """An allocation problem. `voltage_v`: line to neutral. The order of `evses` is the queue.

    With transformers `voltage_v` is that of the sides with no transformer below them; above one the
    voltage follows from its turns ratio.
    """

    nodes: list[ProblemNode]
    evses: list[ProblemEvse]
    voltage_v: Annotated[float, Field(gt=0, le=VOLTAGE_MAX_V)]


class AnswerReason(_Strict):
    """What stopped an EVSE; `node` and `phase` where a row of a node did.

    `side`: the phase is one of the transformer's primary side. For an unbalance the phase is the
    greater one.
    """

    code: str
    node: str | None = None
    phase: Literal[1, 2, 3, "va"] | None = None
    side: Literal["primary"] | None = None


class Answer(_Strict):
    """`deficits`: per node by how much base load alone exceeds its rows `1`, `2`, `3` and `va`.

    Also `primary_1` and so on at a transformer, and `export_1` or `export_va` for what is fed back
    where somebody discharges.
    """

    setpoints_a: dict[str, float]
    reasons: dict[str, AnswerReason]
    deficits: dict[str, dict[str, float]]


class AnswerError(_Strict):
    """`element`: the id of the node or EVSE that is wrong, or the way to it; null for the whole.

    `message`: the way to the value and what is wrong with it; `remedy`: what to do.
    """

    code: ErrorCode
    element: str | None
    message: str
    remedy: str | None = None


class Failure(_Strict):
    """Stands in place of an answer."""

    error: AnswerError


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schemas of what goes in and out, by name."""
    return {
        "problem": Problem.model_json_schema(),
        "answer": Answer.model_json_schema(),
        "error": Failure.model_json_schema(),
    }


_KINDS: Final[dict[str, type[BaseModel]]] = {
    "": Problem,
    "nodes": ProblemNode,
    "evses": ProblemEvse,
    "transformer": Transformer,
}


def answer_to(text: str | bytes) -> tuple[dict[str, Any], bool]:
    """Solve a problem given as JSON: the answer and True, or an error in its place and False."""
    try:
        return _answer(_read(text)), True
    except WrongProblem as wrong:
        return refusal(wrong), False


def refusal(wrong: WrongProblem) -> dict[str, Any]:
    """What stands in place of an answer."""
    error = {
        "code": wrong.code.value,
        "element": wrong.element,
        "message": wrong.message,
        "remedy": wrong.remedy,
    }
    return {"error": error}


_JSON: Final = "send one JSON object a problem, in UTF-8, with nodes, evses and voltage_v"
_INTEGER_CHARS: Final = 20


def _integer(text: str) -> int:
    if len(text) > _INTEGER_CHARS:
        raise ValueError(f"number {text[:20]}... is out of range")
    return int(text)


def _read(text: str | bytes) -> Problem:
    try:
        raw = json.loads(text, object_pairs_hook=_once, parse_int=_integer)
    except RecursionError:
        raise WrongProblem(ErrorCode.MALFORMED, None, "it is nested too deeply", _JSON) from None
    except ValueError as fault:
        message = f"not usable JSON: {fault}"
        raise WrongProblem(ErrorCode.MALFORMED, None, message, _JSON) from None
    try:
        problem = Problem.model_validate(raw)
    except ValidationError as fault:
        raise first_fault(raw, fault, _KINDS) from None
    if any(phase is True for evse in raw["evses"] for phase in evse["phases"]):
        # To pydantic it is the number 1.
        remedy = "write 1, 2 or 3"
        raise WrongProblem(ErrorCode.BAD_VALUE, "evses", "phases: true is no phase", remedy)
    _check_nodes(problem)
    _check_evses(problem)
    _check_transformers(problem)
    _check_unbalance(problem)
    return problem


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return made


def _check_nodes(problem: Problem) -> None:
    parents: dict[str, str | None] = {}
    for node in problem.nodes:
        if node.id in parents:
            raise _twice(node.id, "nodes")
        parents[node.id] = node.parent
        if node.primary_ceiling_a is not None and node.transformer is None:
            raise WrongProblem(
                ErrorCode.BAD_VALUE,
                node.id,
                "primary_ceiling_a: it has no transformer",
                "add transformer, or write ceiling_a",
            )
    for node in problem.nodes:
        if node.parent is not None and node.parent not in parents:
            raise WrongProblem(
                ErrorCode.UNKNOWN_NODE,
                node.id,
                f"its parent {node.parent} does not exist",
                "add that node, or correct the name",
            )
    _check_cycles(parents)


def _check_cycles(parents: Mapping[str, str | None]) -> None:
    rooted: set[str] = set()
    for start in parents:
        way: list[str] = []
        on_way: set[str] = set()
        node: str | None = start
        while node is not None and node not in rooted:
            if node in on_way:
                loop = " -> ".join([*way[way.index(node) :], node])
                raise WrongProblem(
                    ErrorCode.CYCLE,
                    node,
                    f"parents go round: {loop}",
                    "leave out the parent of the one that is the grid connection",
                )
            way.append(node)
            on_way.add(node)
            node = parents[node]
        rooted |= on_way


def _check_evses(problem: Problem) -> None:
    nodes = {node.id for node in problem.nodes}
    known: set[str] = set()
    for evse in problem.evses:
        if evse.id in known:
            raise _twice(evse.id, "EVSEs")
        known.add(evse.id)
        if evse.node not in nodes:
            raise WrongProblem(
                ErrorCode.UNKNOWN_NODE,
                evse.id,
                f"its node {evse.node} does not exist",
                "add that node, or correct the name",
            )
        for code, fault, remedy in _evse_faults(evse):
            raise WrongProblem(code, evse.id, fault, remedy)


def _evse_faults(evse: ProblemEvse) -> Iterator[tuple[ErrorCode, str, str]]:
    if not evse.phases:
        yield (
            ErrorCode.EMPTY_PHASES,
            "phases: it is wired to no phase",
            "write the site phases that it loads, such as [1, 2, 3]",
        )
    if len(set(evse.phases)) != len(evse.phases):
        yield ErrorCode.BAD_VALUE, "phases: one of them stands twice", "write each of them once"
    if evse.connection == "line_to_line" and len(evse.phases) != 2:
        yield (
            ErrorCode.BAD_VALUE,
            "phases: line to line it needs exactly two",
            "write the two that it hangs between, or leave connection out",
        )
    if evse.max_discharge_a > 0.0 and evse.pause_a > 0.0:
        yield (
            ErrorCode.BAD_VALUE,
            "pause_a: whoever discharges pauses at 0",
            "leave pause_a out, or max_discharge_a",
        )
    if isinstance(evse.step_a, float | int) and 0.0 < evse.step_a < STEP_MIN_A:
        yield (
            ErrorCode.OUT_OF_RANGE,
            f"step_a: it must be 0 or at least {STEP_MIN_A:g} A",
            "write 0 for any current",
        )


def _twice(name: str, what: str) -> WrongProblem:
    return WrongProblem(
        ErrorCode.DUPLICATE_ID, name, f"two {what} are called {name}", "rename one of them"
    )


def _check_transformers(problem: Problem) -> None:
    nodes = {node.id: node for node in problem.nodes}
    if all(node.transformer is None for node in problem.nodes):
        return
    for evse in problem.evses:
        ratios: list[float] = []
        at: str | None = evse.node
        while at is not None:
            ratio = _turns_ratio(nodes[at])
            if ratio is not None:
                ratios.append(ratio)
            at = nodes[at].parent
        if not bears_ratios(ratios, line_to_line=evse.connection == "line_to_line"):
            raise WrongProblem(
                ErrorCode.OUT_OF_RANGE,
                evse.id,
                "the transformers above it turn its current into less than a millionth, or more"
                " than a million times, of it",
                "correct their turns_ratio",
            )


def _check_unbalance(problem: Problem) -> None:
    bounded = next((node for node in problem.nodes if node.unbalance_a is not None), None)
    if bounded is None:
        return
    phasors = any(node.transformer is not None for node in problem.nodes) or any(
        evse.connection == "line_to_line" for evse in problem.evses
    )
    if phasors:
        raise WrongProblem(
            ErrorCode.NOT_SUPPORTED,
            bounded.id,
            "unbalance_a beside line-to-line EVSEs or transformers is not supported",
            "leave unbalance_a out",
        )


def _answer(problem: Problem) -> dict[str, Any]:
    number = {node.id: k for k, node in enumerate(problem.nodes)}
    evses = problem.evses
    allocator = Allocator(
        parents=[None if n.parent is None else number[n.parent] for n in problem.nodes],
        evse_nodes=[number[evse.node] for evse in evses],
        evse_phases=[evse.phases for evse in evses],
        turns_ratios=[_turns_ratio(node) for node in problem.nodes],
        unbalance_a=[node.unbalance_a for node in problem.nodes],
        line_to_line=[evse.connection == "line_to_line" for evse in evses],
    )
    volts = _volts(problem, number)
    gives = any(evse.max_discharge_a > 0.0 for evse in evses)
    transforms = any(node.transformer is not None for node in problem.nodes)
    outcome = allocator.solve(
        ceiling_a=[_ceilings(node.ceiling_a) for node in problem.nodes],
        ceiling_va=[node.ceiling_va for node in problem.nodes],
        base_a=[_triple(node.base_a) for node in problem.nodes],
        base_va=[_base_va(node, v) for node, v in zip(problem.nodes, volts, strict=True)],
        voltage_v=[(v, v, v) for v in volts],
        weight=[evse.weight for evse in evses],
        tier=[evse.tier for evse in evses],
        min_a=[evse.min_a for evse in evses],
        max_a=[evse.max_a for evse in evses],
        step_a=[0.0 if isinstance(evse.step_a, list) else evse.step_a for evse in evses],
        pause_a=[evse.pause_a for evse in evses],
        allowed=[_allowed(evse) for evse in evses],
        queue=range(len(evses)),
        primary_ceiling_a=[_ceilings(node.primary_ceiling_a) for node in problem.nodes]
        if transforms
        else None,
        export_ceiling_a=[_ceilings(node.export_ceiling_a) for node in problem.nodes]
        if gives
        else None,
        export_ceiling_va=[node.export_ceiling_va for node in problem.nodes] if gives else None,
        min_discharge_a=[evse.min_discharge_a for evse in evses] if gives else None,
        max_discharge_a=[evse.max_discharge_a for evse in evses] if gives else None,
    )
    return _told(problem, outcome)


_SAME_VOLTAGE: Final = 1e-3


def _volts(problem: Problem, number: Mapping[str, int]) -> list[float]:
    """The voltage of every node: given where no transformer is below, derived above them."""
    nodes = problem.nodes
    if all(node.transformer is None for node in nodes):
        return [problem.voltage_v] * len(nodes)
    parent = [None if node.parent is None else number[node.parent] for node in nodes]
    # A side is named by its topmost node.
    side = [_top_of_side(nodes, parent, n) for n in range(len(nodes))]
    transformers = [n for n in range(len(nodes)) if nodes[n].transformer and parent[n] is not None]
    volts: dict[int, float] = {}
    waiting = set(side)
    while waiting:
        above: dict[int, list[int]] = {top: [] for top in waiting}
        for n in transformers:
            up = parent[n]
            if up is not None and side[up] in waiting:
                above[side[up]].append(n)
        for top, below in above.items():
            if all(n in volts for n in below):
                volts[top] = _volts_above(problem, top, below, volts)
        waiting -= volts.keys()
    return [volts[top] for top in side]


def _top_of_side(nodes: Sequence[ProblemNode], parent: Sequence[int | None], n: int) -> int:
    up = parent[n]
    while nodes[n].transformer is None and up is not None:
        n, up = up, parent[up]
    return n


def _volts_above(
    problem: Problem, top: int, below: Sequence[int], volts: Mapping[int, float]
) -> float:
    implied = [volts[n] * (_turns_ratio(problem.nodes[n]) or 1.0) / sqrt(3.0) for n in below]
    if not implied:
        return problem.voltage_v
    if max(implied) - min(implied) > _SAME_VOLTAGE * max(implied):
        raise WrongProblem(
            ErrorCode.BAD_VALUE,
            problem.nodes[top].id,
            "the transformers below it lead to different voltages: "
            + ", ".join(f"{v:.1f} V" for v in sorted(set(implied))),
            "correct turns_ratio: voltage_v holds wherever no transformer is below",
        )
    return implied[0]


def _turns_ratio(node: ProblemNode) -> float | None:
    return None if node.transformer is None else node.transformer.turns_ratio


def _ceilings(values: Sequence[float | None] | None) -> OptionalTriple:
    if values is None:
        return (None, None, None)
    first, second, third = values
    return (first, second, third)


def _triple(values: Sequence[float]) -> Triple:
    first, second, third = values
    return (first, second, third)


def _base_va(node: ProblemNode, volts: float) -> float:
    if node.base_va is not None:
        return node.base_va
    base_va = volts * sum(node.base_a)
    if abs(base_va) > MAGNITUDE_MAX:
        raise WrongProblem(
            ErrorCode.OUT_OF_RANGE,
            node.id,
            f"base_a: times the voltage it is above {MAGNITUDE_MAX:g} VA",
            "correct base_a or voltage_v",
        )
    return base_va


def _allowed(evse: ProblemEvse) -> tuple[float, ...]:
    return tuple(sorted(set(evse.step_a))) if isinstance(evse.step_a, list) else ()


def _told(problem: Problem, outcome: Outcome) -> dict[str, Any]:
    reasons: dict[str, dict[str, Any]] = {}
    for evse, stop in zip(problem.evses, outcome.stops, strict=True):
        reason: dict[str, Any] = {"code": stop.code.value}
        if stop.node is not None and stop.row is not None:
            reason["node"] = problem.nodes[stop.node].id
            reason["phase"] = stop.row if stop.row == "va" else int(stop.row)
        if stop.primary:
            reason["side"] = "primary"
        reasons[evse.id] = reason
    deficits = {}
    for n, node in enumerate(problem.nodes):
        rows = _deficits("", (*outcome.deficit_a[n], outcome.deficit_va[n]))
        rows |= _deficits("primary_", outcome.primary_deficit_a[n])
        rows |= _deficits("export_", (*outcome.export_deficit_a[n], outcome.export_deficit_va[n]))
        if rows:
            deficits[node.id] = rows
    ids = [evse.id for evse in problem.evses]
    return {
        "setpoints_a": dict(zip(ids, outcome.setpoint_a, strict=True)),
        "reasons": reasons,
        "deficits": deficits,
    }


def _deficits(prefix: str, by: Sequence[float]) -> dict[str, float]:
    if not any(by):
        return {}
    return {f"{prefix}{row}": value for row, value in zip(ROWS, by, strict=False) if value > 0.0}
