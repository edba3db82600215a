"""Whether a device is what the site file says, and set up as edgectl needs it."""

from edgectl.daemon.lines.errand import Troubles
from edgectl.devices.profile import Profile
from edgectl.devices.reads import Check, Place, decode, identify, required, unmet
from edgectl.model.decision import AlarmCode, Severity
from edgectl.model.modbus import Answer, Miss


class Fitness:
    """The checks of one device or connector."""

    def __init__(self, id_: str, checks: tuple[Check, ...], troubles: Troubles) -> None:
        self.checks = checks
        self.left = list(checks)
        self._id = id_
        self._troubles = troubles
        self._failed: set[str] = set()

    @property
    def unfit(self) -> bool:
        """Whether nothing of the device may be believed or written."""
        return bool(self._failed)

    def begin(self) -> None:
        """Have every check done again."""
        self.left = list(self.checks)

    def judge(self, check: Check, outcome: Answer | Miss) -> bool:
        """Take the outcome of a check; False when the device must not be used."""
        about = check.expects[0].point
        if isinstance(outcome, Miss):
            found = [f"{about}: {outcome.detail}; {expect.remedy}" for expect in check.expects]
            blocks = any(expect.blocks for expect in check.expects)
        else:
            wrong = unmet(check, decode(check.batch, outcome.words))
            found = [f"{one.text}; {one.remedy}" for one in wrong]
            blocks = any(one.blocks for one in wrong)
        self._failed.discard(about)
        for code, holds in (
            (AlarmCode.DEVICE_UNFIT, found and blocks),
            (AlarmCode.DEVICE_SETTING, found and not blocks),
        ):
            if holds:
                self._troubles.begin(
                    code,
                    self._id,
                    "; ".join(found),
                    severity=Severity.ALARM if blocks else Severity.WARNING,
                    about=about,
                )
            else:
                self._troubles.end(code, self._id, about=about)
        if found and blocks:
            self._failed.add(about)
            return False
        return True


def fitness(id_: str, profile: Profile, place: Place, troubles: Troubles) -> Fitness:
    """The checks of a profile at a place: who the device is first, then its configuration."""
    first = identify(
        profile,
        unit=place.unit,
        connector=place.connector,
        address_offset=place.address_offset,
        word_order=place.word_order,
    )
    others = required(
        profile,
        unit=place.unit,
        connector=place.connector,
        address_offset=place.address_offset,
        word_order=place.word_order,
    )
    checks = others if first is None else (first, *others)
    return Fitness(id_, checks, troubles)
