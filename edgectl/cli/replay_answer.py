"""What a replay showed, for people and for programs."""

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Final

from edgectl.cli.journal_source import JournalSource
from edgectl.cli.output import table
from edgectl.cli.rerun import EvseDifference, Summary
from edgectl.contract.envelope import rfc3339
from edgectl.model.decision import EvseDecision

_FIRST_MOST: Final = 10
_BROKEN_MOST: Final = 5
_ID_WIDTH: Final = 20


class ReplayAnswer:
    """Put into words. `ok`: what was to be shown is so."""

    def __init__(self, summary: Summary, source: JournalSource, *, other_site: bool) -> None:
        self._summary = summary
        self._source = source
        self._other_site = other_site
        differing = [one for one in summary.evses.values() if one.differing]
        self._differing = sorted(differing, key=lambda one: (-one.most_a, -one.differing, one.evse))

    @property
    def ok(self) -> bool:
        """No step breaks that did not, and, with its own site, all is as recorded."""
        summary = self._summary
        as_recorded = summary.same == summary.steps == summary.exact + summary.incomparable
        return not summary.broken and (self._other_site or as_recorded)

    def json(self) -> dict[str, Any]:
        """For programs."""
        summary, source = self._summary, self._source
        return {
            "ok": self.ok,
            "site": source.head.site.id if source.head else None,
            "version": source.head.version if source.head else None,
            "other_site": self._other_site,
            "segments": source.parts,
            "segments_dropped": source.head.first_part - 1 if source.head else 0,
            "segments_missing": source.missing,
            "torn": source.damage.torn,
            "holes": source.damage.holes,
            "passed_over": source.passed_over,
            "steps": summary.steps,
            "same": summary.same,
            "exact": summary.exact,
            "incomparable": summary.incomparable,
            "from": rfc3339(summary.first_utc_s or 0.0),
            "to": rfc3339(summary.last_utc_s or 0.0),
            "broken": [{"t": rfc3339(at_s), "error": said} for at_s, said in summary.broken],
            "broke_again": summary.broke_again,
            "evses": {one.evse: _evse_json(one) for one in summary.evses.values()},
            "only_recorded": sorted(summary.only_recorded),
            "only_replayed": sorted(summary.only_replayed),
        }

    def lines(self) -> list[str]:
        """For people, in 80 columns."""
        return [*self._head_lines(), "", *self._found_lines(), *self._difference_lines()]

    def _head_lines(self) -> list[str]:
        summary, source = self._summary, self._source
        head = source.head
        lines = []
        if head is not None:
            lines.append(f"site {head.site.id}, recorded by edgectl {head.version}")
            if head.first_part > 1:
                lines.append(f"{head.first_part - 1} older segment(s) were dropped at the bound")
        begin, end = _time(summary.first_utc_s), _time(summary.last_utc_s)
        lines.append(f"{summary.steps} step(s) from {begin} to {end}")
        if source.missing:
            lines.append(f"{source.missing} segment(s) between others are missing")
        if source.damage.torn:
            lines.append(
                f"{source.damage.torn} segment(s) end in the middle of a step, as when the process "
                "is killed"
            )
        if source.damage.holes:
            lines.append(f"{source.damage.holes} damaged minute(s) could not be read whole")
        if source.passed_over:
            lines.append(f"{source.passed_over} step(s) after a gap could not be replayed")
        return lines

    def _found_lines(self) -> list[str]:
        summary = self._summary
        lines = []
        for at_s, said in summary.broken[:_BROKEN_MOST]:
            lines.append(f"a step breaks that did not: {_time(at_s)} {said}")
        if len(summary.broken) > _BROKEN_MOST:
            lines.append(f"and {len(summary.broken) - _BROKEN_MOST} more")
        if summary.broke_again:
            lines.append(f"{summary.broke_again} step(s) break as they did")
        lines += self._comparison_lines()
        for ids, said in (
            (summary.only_recorded, "not in this site file"),
            (summary.only_replayed, "not in the journal, so never heard"),
        ):
            if ids:
                lines.append(f"{said}: {', '.join(sorted(ids))}")
        return lines

    def _comparison_lines(self) -> list[str]:
        summary = self._summary
        differ = summary.steps - summary.same
        if self._other_site:
            return [
                f"with this site file {differ} step(s) decide differently, each on the readings of",
                "then: what the vehicles would have drawn under it is not known",
            ]
        if differ:
            return [f"{differ} step(s) decide differently than recorded"]
        if summary.exact == summary.steps:
            return ["all as recorded, bit for bit"]
        inexact = summary.steps - summary.exact - summary.incomparable
        if not inexact:
            return ["every EVSE is told as recorded; that version kept other figures besides"]
        lines = [f"every EVSE is told as recorded; {inexact} step(s) have other figures besides"]
        if summary.first_differing is not None:
            first = summary.first_differing.recorded
            lines.append(f"first at {_time(first.now.utc_s)}, step {first.number}")
        return lines

    def _difference_lines(self) -> list[str]:
        if not self._differing:
            return []
        rows = [
            (
                one.evse[:_ID_WIDTH],
                str(one.differing),
                f"{one.recorded_mean_a:.1f}",
                f"{one.replayed_mean_a:.1f}",
                f"{one.most_a:.1f}",
                _time(one.first_utc_s)[11:],
            )
            for one in self._differing
        ]
        heads = ("evse", ">steps", ">recorded", ">replayed", ">most", ">first")
        lines = ["", *table(heads, rows), "", "steps that differ; means and greatest change in A"]
        firsts = [one for one in self._differing[:_FIRST_MOST] if one.first is not None]
        lines += ["", "the first difference of each:"]
        lines += [f"  {one.evse}: {_words(one)}" for one in firsts]
        return lines


def _words(one: EvseDifference) -> str:
    if one.first is None:
        return "-"
    recorded, replayed = one.first
    before, after = _decided(recorded), _decided(replayed)
    if before != after:
        return f"{before} -> {after}"
    # It is told the same: what differs is its share, its count, or what bounds it.
    names = [one.name for one in fields(EvseDecision)]
    other = [name for name in names if getattr(recorded, name) != getattr(replayed, name)]
    amps = [
        f"{name} {getattr(recorded, name):.1f} -> {getattr(replayed, name):.1f}"
        if name.endswith("_a")
        else name
        for name in other
    ]
    return f"{before}, but for {', '.join(amps)}"


def _decided(one: EvseDecision) -> str:
    where = f" {one.reason.node}.{one.reason.row}" if one.reason.node and one.reason.row else ""
    return f"{one.setpoint_a:.1f} A ({one.reason.code}{where})"


def _evse_json(one: EvseDifference) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "steps": one.steps,
        "differing": one.differing,
        "recorded_mean_a": round(one.recorded_mean_a, 3),
        "replayed_mean_a": round(one.replayed_mean_a, 3),
        "most_a": round(one.most_a, 3),
    }
    if one.first is not None and one.first_utc_s is not None:
        recorded, replayed = one.first
        answer["first"] = {
            "t": rfc3339(one.first_utc_s),
            "recorded": {"setpoint_a": recorded.setpoint_a, "reason": str(recorded.reason.code)},
            "replayed": {"setpoint_a": replayed.setpoint_a, "reason": str(replayed.reason.code)},
        }
    return answer


def _time(utc_s: float | None) -> str:
    if utc_s is None:
        return "-"
    return f"{datetime.fromtimestamp(utc_s, UTC):%Y-%m-%d %H:%M:%SZ}"
