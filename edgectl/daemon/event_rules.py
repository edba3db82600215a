"""Which version of an event is the newer one, and the refusals that follow from it."""

from edgectl.contract.dr import DrState
from edgectl.contract.envelope import rfc3339
from edgectl.contract.refusal import RefusalCode, refused
from edgectl.daemon.held_event import HeldEvent
from edgectl.errors import Refused
from edgectl.grid.event import Event


def is_held(event: Event, held: HeldEvent, *, by_topic: bool) -> bool:
    """Whether this version is the one held; raises `Refused` for an older or a doubtful one."""
    mine, theirs = held.event.modified_utc_s, event.modified_utc_s
    if held.state is DrState.REFUSED:
        return False
    if theirs is None and mine is not None and not held.deleted:
        raise refused(
            RefusalCode.MALFORMED,
            "modificationDateTime is missing, and the version held has one",
            "send it, so that the newer version can be told from the older",
        )
    if theirs is not None and mine is not None and theirs < mine:
        raise stale(held)
    if theirs != mine or (held.deleted and not (held.by_word and by_topic)):
        return False
    if event == held.event:
        return True
    if theirs is None:
        return False
    raise refused(
        RefusalCode.STALE,
        "other content under the modificationDateTime that is held already",
        "send changes with a later modificationDateTime",
    )


def stale(held: HeldEvent) -> Refused:
    """The refusal of a version older than the one held."""
    return refused(
        RefusalCode.STALE,
        f"the version of {rfc3339(held.modified_utc_s)} is held, which is newer",
        "send changes with a later modificationDateTime",
    )


def not_signed() -> Refused:
    """The refusal of what only a signature could vouch for."""
    return refused(
        RefusalCode.UNSIGNED,
        "an unsigned message that the site file does not allow",
        "see `commands.unsigned` and `signed` of the program in the site file",
    )


def clock_untrusted(message: str) -> Refused:
    """The refusal of what may leave more than before while the time is not known."""
    return refused(
        RefusalCode.CLOCK_UNTRUSTED,
        f"{message}, and the gateway's clock is not set",
        "send it again when the gateway has its time",
    )
