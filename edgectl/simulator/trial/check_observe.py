"""In observe mode nothing is ever written to any device."""

from edgectl.model.site import Mode
from edgectl.simulator.trial.evidence import Breach, Evidence


def check_observe(evidence: Evidence) -> list[Breach]:
    """Give every process that wrote though the site file says that it may only look."""
    if evidence.site.mode is not Mode.OBSERVE:
        return []
    return [
        Breach(
            check="observe",
            at_s=life.until_s,
            text=f"{life.writes} writes in observe mode",
        )
        for life in evidence.lives
        if life.writes
    ]
