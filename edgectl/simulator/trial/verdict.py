"""A trial judged: what was breached, and the figures that go into the report of a series."""

from dataclasses import dataclass

from edgectl.simulator.trial.check_failsafe import check_failsafe
from edgectl.simulator.trial.check_observe import check_observe
from edgectl.simulator.trial.check_overload import check_overload
from edgectl.simulator.trial.check_progress import check_progress
from edgectl.simulator.trial.check_telling import check_telling
from edgectl.simulator.trial.check_turns import check_turns
from edgectl.simulator.trial.evidence import Breach, Evidence

CHECKS = (
    check_overload,
    check_failsafe,
    check_telling,
    check_progress,
    check_turns,
    check_observe,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a series keeps of a trial. `record`: the digest of all that happened."""

    seed: int
    duration_s: float
    faults: int
    orders: int
    breaches: tuple[Breach, ...]
    record: str


def judge_trial(seed: int, evidence: Evidence) -> Verdict:
    """Let every checker look at the evidence."""
    breaches = [breach for check in CHECKS for breach in check(evidence)]
    return Verdict(
        seed=seed,
        duration_s=evidence.duration_s,
        faults=len(evidence.faults),
        orders=len(evidence.sent),
        breaches=tuple(sorted(breaches, key=lambda breach: (breach.at_s, breach.check))),
        record=evidence.record,
    )
