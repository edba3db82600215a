"""`edgectl allocate -` on small problems: JSON in, checked, solved, JSON out."""

import json
from collections.abc import Iterator

from edgectl.contract.allocate import answer_to
from tests.bench.measure import Figure, median_s


def figures() -> Iterator[Figure]:
    lines = [_problem(evses) for evses in range(3, 11)]
    whole = median_s(lambda line: json.dumps(answer_to(line)), lines)
    parse = median_s(lambda line: json.dumps(json.loads(line)), lines)
    yield Figure("allocate.small_problems", 1.0 / whole, "1/s", parse / whole, "JSON alone")


def _problem(evses: int) -> bytes:
    nodes = [
        {"id": "grid", "parent": None, "ceiling_a": [60, 50, 70], "base_a": [5.0, 8.5, 1.0]},
        {"id": "shed", "parent": "grid", "ceiling_a": [40, 40, 40], "ceiling_va": 20_000.0},
    ]
    machines = [
        {
            "id": f"bay{i:02}",
            "node": "shed" if i % 2 else "grid",
            "phases": [1, 2, 3] if i % 3 else [1 + i % 3],
            "min_a": 6.0,
            "max_a": 32.0,
            "step_a": 1.0,
        }
        for i in range(evses)
    ]
    return json.dumps({"nodes": nodes, "evses": machines, "voltage_v": 230.0}).encode()
