"""Which version of an event is the newer one, who may send it, and the refusals that follow."""

from collections.abc import Iterable

from edgectl.clock import Instant
from edgectl.contract.dr import Deletion, DrState, Upsert
from edgectl.contract.envelope import rfc3339
from edgectl.contract.refusal import RefusalCode, refused
from edgectl.daemon.desk.held_event import HeldEvent
from edgectl.daemon.desk.permission import check_places, check_strength
from edgectl.errors import Refused
from edgectl.grid.event import Event
from edgectl.grid.narrow import adds_only, narrows
from edgectl.grid.plan import EventPlan
from edgectl.model.issuer import Seal
from edgectl.model.site import Program, Site


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


def check_sender(program: Program | None, seal: Seal | None, *, unsigned: bool) -> None:
    """Raise `Refused` unless whoever sent this may speak for the program.

    `program` None: an index, or an event of no known program. `unsigned`: the connection is
    believed without a signature.
    """
    if seal is None:
        if not unsigned or (program is not None and program.signed):
            raise not_signed()
    elif program is not None and program.id not in seal.issuer.programs:
        raise refused(
            RefusalCode.NOT_PERMITTED,
            f"{seal.issuer.id} may not sign for program {program.id}",
            "see `rank` and `programs` of the issuer in the site file",
        )


def check_dated(notice: Upsert | Deletion) -> Refused | None:
    """Why something signed cannot be taken: without its version it could be played again."""
    if notice.modified_utc_s is not None:
        return None
    what = "event" if isinstance(notice, Upsert) else "deletion"
    return refused(
        RefusalCode.MALFORMED,
        f"a signed {what} without modificationDateTime could be played again",
        "sign its version, too",
    )


def check_limits(plan: EventPlan, seal: Seal | None, site: Site) -> None:
    """Raise `Refused` where an event asks for more than its issuer may: places, strength, time."""
    if seal is None:
        return
    check_places(seal.issuer, plan.elements, site)
    for limit in (limit for limit in plan.limits if limit is not None):
        for element in plan.elements:
            check_strength(
                seal.issuer, element, site, limit_a=limit.current_a, limit_w=limit.power_w
            )
    until_s = plan.schedule.until_utc_s
    if not plan.cancels and seal.expires_utc_s < until_s < float("inf"):
        raise refused(
            RefusalCode.EXPIRED,
            f"exp: {rfc3339(seal.expires_utc_s)} is before the event's end",
            "sign it for as long as the event lasts",
        )


def check_time(
    judged: EventPlan, old: EventPlan | None, others: Iterable[EventPlan], now: Instant
) -> None:
    """Raise `Refused` for what is over, or could leave more while the clock is in doubt."""
    if now.utc_trusted:
        if old is None and not judged.cancels and judged.schedule.until_utc_s <= now.utc_s:
            raise refused(
                RefusalCode.EXPIRED,
                f"the event ended at {rfc3339(judged.schedule.until_utc_s)}",
                "nothing is left to do",
            )
        return
    if old is not None and not narrows(old, judged):
        raise clock_untrusted("the new version could leave more than the one in force")
    if not judged.cancels and not adds_only(judged, others):
        raise clock_untrusted("the event would replace another one of its program")


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
