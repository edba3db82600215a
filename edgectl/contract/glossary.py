"""What every code means, for people: the lists of the README are generated from here."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from edgectl.clock import Instant
from edgectl.contract.reasons import reason_text
from edgectl.contract.refusal import RefusalCode
from edgectl.contract.vocabulary import EventCode
from edgectl.model.ceiling import Holder, Rank
from edgectl.model.decision import AlarmCode, Reason, ReasonCode
from edgectl.units import NodeId

EVENTS: Final[Mapping[EventCode, str]] = MappingProxyType(
    {
        EventCode.ALARM_RAISED: "something is wrong; `data.alarm` has the alarm's code",
        EventCode.ALARM_CLEARED: "it is over",
        EventCode.EVSE_STATE: "an EVSE's state changed",
        EventCode.SESSION_STARTED: "a vehicle was plugged in",
        EventCode.SESSION_ENDED: "it was unplugged; `data` has energy and duration",
        EventCode.DECISION_CHANGED: "an EVSE has another setpoint or another reason",
        EventCode.CEILING_CHANGED: "a node has another ceiling or another holder",
        EventCode.DEVICE_SILENT: "a meter or charger stopped answering",
        EventCode.DEVICE_BACK: "it answers again",
        EventCode.SAFE_DECISION: "the step contradicted itself; every charger got its safe value",
        EventCode.SITE_FILE_TAKEN: "a changed site file is in force; `data` has its hash",
        EventCode.OUTBOX_THINNED: "the outbox is full; the oldest telemetry lost detail",
        EventCode.OUTBOX_DROPPED: "the outbox is full; the oldest rows were dropped",
        EventCode.OUTBOX_SET_ASIDE: "rows that the broker refuses wait, and get new numbers",
        EventCode.OUTBOX_REFUSED: "rows that the broker refuses for good were given up",
        EventCode.OUTBOX_REPLACED: "the outbox file was unreadable; a new stream began",
        EventCode.OUTBOX_FAILED: "the disk refused rows for a while; `data` counts what was lost",
    }
)

ALARMS: Final[Mapping[AlarmCode, str]] = MappingProxyType(
    {
        AlarmCode.OVER_CEILING: "a meter shows more than the ceiling",
        AlarmCode.EXPORT_OVER_CEILING: "a node feeds back more than it may, for 15 s and longer",
        AlarmCode.UNBALANCE: "a meter shows two phases farther apart than they may be",
        AlarmCode.ACCOUNT_OVER_CEILING: "more than the ceiling may be flowing",
        AlarmCode.BASE_OVER_CEILING: "base load alone is above the ceiling",
        AlarmCode.METER_STALE: "a meter's values are old; its base load ages",
        AlarmCode.METER_LOST: "a meter's values are too old; the worst case counts",
        AlarmCode.METER_FROZEN: "a meter repeats one value while chargers below it moved",
        AlarmCode.METER_WITHOUT_DATA: "a meter answers, but not with data",
        AlarmCode.CHARGER_SILENT: "a charger does not answer; it is a fixed load",
        AlarmCode.BOOT_CURRENT: "a reboot, of it or of all unseen ones, would overload a node",
        AlarmCode.CHARGER_WITHOUT_DATA: "a charger answers, but not with its current",
        AlarmCode.EXCEEDS_SETPOINT: "a vehicle draws more than it was told",
        AlarmCode.SETPOINT_CONFLICT: "somebody else writes this charger's setpoint",
        AlarmCode.SETPOINT_REFUSED: "a charger refuses its setpoint",
        AlarmCode.FAILSAFE_NOT_SET: "a charger does not keep its failsafe block",
        AlarmCode.KEEPALIVE_REFUSED: "a charger refuses its keep-alive",
        AlarmCode.DEVICE_REFUSES: "a device refuses a read that its profile needs",
        AlarmCode.DEVICE_UNFIT: "a device is not what the site file says; it is left alone",
        AlarmCode.DEVICE_SETTING: "a device is set otherwise than its profile wants",
        AlarmCode.LINK_DOWN: "a link has no connection",
        AlarmCode.STATE_REPLACED: "what was kept could not be read; the daemon began without it",
        AlarmCode.STATE_NOT_KEPT: "the disk takes nothing; what was kept holds, nothing new does",
        AlarmCode.TELEMETRY_NOT_KEPT: "the disk takes no rows; they wait in memory, within bounds",
        AlarmCode.FIGURES_NOT_KEPT: "the disk takes no figures; they wait in memory, within bounds",
        AlarmCode.BROKER_REFUSES: "the broker does not take a topic; rows are set aside",
        AlarmCode.CERTIFICATE_ENDS: "a certificate for the broker ends soon, or has ended",
        AlarmCode.SITE_FILE_REFUSED: "a changed site file is not used; the one before is in force",
        AlarmCode.JOURNAL_FAILED: "the flight recorder cannot write; control goes on",
        AlarmCode.UTILITY_LOST: "a program's utility is not heard; its own limit holds",
        AlarmCode.SEAL_EXPIRED: "an open-ended event outlived its signature; its ceiling stays",
        AlarmCode.EVIDENCE_BROKEN: "rows of ledger or audit log are gone since the last run",
    }
)

REFUSALS: Final[Mapping[RefusalCode, str]] = MappingProxyType(
    {
        RefusalCode.MALFORMED: "not what the contract says; the message names the field",
        RefusalCode.TOO_LARGE: "longer than anything needs to be",
        RefusalCode.UNKNOWN_TARGET: "names no node, EVSE or group of this site",
        RefusalCode.UNKNOWN_PROGRAM: "names no program of this site",
        RefusalCode.UNKNOWN_ISSUER: "comes from nobody that the site knows",
        RefusalCode.NOT_PERMITTED: "is above the rank of whoever asks",
        RefusalCode.BAD_SIGNATURE: "does not fit its signature",
        RefusalCode.UNSIGNED: "would need a signature or a safer connection",
        RefusalCode.WRONG_AUDIENCE: "is meant for another site",
        RefusalCode.EXPIRED: "came too late",
        RefusalCode.NOT_YET_VALID: "came too early",
        RefusalCode.REPLAYED: "uses an id again for something else",
        RefusalCode.STALE: "is older than what is held",
        RefusalCode.RETAINED: "is a command that the broker kept",
        RefusalCode.CLOCK_UNTRUSTED: "would leave more while the clock is not trusted",
        RefusalCode.WOULD_WIDEN: "would leave more than the rank may give",
        RefusalCode.NOT_SUPPORTED: "asks for what this build cannot do",
        RefusalCode.TOO_MANY: "is more than the bound allows",
        RefusalCode.NOT_STORED: "could not be kept on disk, so it has no effect",
        RefusalCode.VEHICLES_FIRST: "would make vehicles miss their departure",
        RefusalCode.LIFTED: "was set aside on site for a time by a higher rank",
        RefusalCode.WATCHED_ONLY: "limits what is fed back: measured and recorded, not commanded",
    }
)

_SAMPLE_NOW: Final = Instant(mono_s=0.0, utc_s=0.0)


def glossary() -> str:
    """Every list as one piece of Markdown."""
    reasons = {code: _sample(code) for code in ReasonCode}
    return "\n\n".join(
        _table(title, {str(code): text for code, text in meanings.items()})
        for title, meanings in (
            ("Reason of a setpoint, with an example of its sentence", reasons),
            ("Event code", EVENTS),
            ("Alarm code", ALARMS),
            ("Refusal code", REFUSALS),
        )
    )


def _sample(code: ReasonCode) -> str:
    """Say a reason about a feeder's first phase at 63 A, or about an EVSE of its own."""
    own = code in (
        ReasonCode.OWN_MAXIMUM,
        ReasonCode.EVSE_CEILING,
        ReasonCode.PAUSED,
        ReasonCode.SILENT,
    )
    va = code is ReasonCode.VA_CEILING
    reason = Reason(
        code=code,
        node=None if own else NodeId("feeder"),
        row=None if own else "va" if va else "1",
        holder=Holder(Rank.SAFETY, "limit", "feeder"),
        limit=0.0 if code is ReasonCode.PAUSED else 43_500.0 if va else 32.0 if own else 63.0,
        until_s=90.0,
    )
    return reason_text(reason, now=_SAMPLE_NOW)


def _table(title: str, meanings: Mapping[str, str]) -> str:
    rows = "\n".join(f"| `{code}` | {text} |" for code, text in meanings.items())
    return f"| {title} | |\n|---|---|\n{rows}"
