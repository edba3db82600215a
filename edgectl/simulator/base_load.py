"""What a node draws beside its EVSEs: a seeded, slowly moving load with scheduled steps on top."""

import math
import random
from collections.abc import Sequence

from edgectl.simulator.faults import Fault
from edgectl.units import Triple

_NOISE_PART = 0.01


class BaseLoad:
    """The base load of one node per phase.

    Never above `worst_a`, which is what its owner stated; a step below zero can feed back.
    """

    def __init__(self, worst_a: Triple, rng: random.Random) -> None:
        self._worst_a = worst_a
        self._rng = rng
        self._mean = [rng.uniform(0.25, 0.4) for _ in range(3)]
        self._swing = [rng.uniform(0.04, 0.08) for _ in range(3)]
        self._period_s = [rng.uniform(60.0, 180.0) for _ in range(3)]
        self._start = [rng.uniform(0.0, math.tau) for _ in range(3)]
        self.empty = not any(worst_a)

    def at(self, now_s: float, scenario_s: float, steps: Sequence[Fault]) -> Triple:
        """Give the currents at `now_s`; call it with a time that only grows."""
        amps = [0.0, 0.0, 0.0]
        for k, worst_a in enumerate(self._worst_a):
            wave = math.sin(math.tau * now_s / self._period_s[k] + self._start[k])
            noise = self._rng.uniform(-_NOISE_PART, _NOISE_PART)
            part = self._mean[k] + self._swing[k] * wave + noise
            amps[k] = worst_a * part
        for step in steps:
            if step.active(scenario_s):
                for k in range(3):
                    amps[k] += step.add_a[k]
        return (
            min(amps[0], self._worst_a[0]),
            min(amps[1], self._worst_a[1]),
            min(amps[2], self._worst_a[2]),
        )
