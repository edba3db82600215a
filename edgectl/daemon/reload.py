"""The site file is read anew while the daemon runs: checked first, taken up whole, or not at all.

1. A file with a finding, with a risk that nobody accepted, or of another site changes nothing: the
   one in force stays, and that is said in the log, as an alarm, and to whoever asked.
2. A good one is taken up by the next daemon in this process (`handover`). Nothing is raised by it:
   what is not known again is met like a stranger.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol

from structlog.typing import FilteringBoundLogger

from edgectl.contract.envelope import rfc3339
from edgectl.contract.local import ConfigStatus
from edgectl.contract.local_tool import FindingReport, ReloadAnswer
from edgectl.daemon.handover import leaving, same_evses
from edgectl.errors import BadInput, Finding
from edgectl.model.decision import Alarm, AlarmCode, Severity
from edgectl.model.ports import Clock, Watchdog
from edgectl.model.store import Document
from edgectl.sitefile.load import LoadedSite

TOLD_FINDINGS: Final = 100


class SiteFile(Protocol):
    """The site file on the disk."""

    async def load(self) -> LoadedSite:
        """Read and check it; `BadInput` with everything that is wrong."""


class Reloader:
    """Keeps what is in force. `successor` is the site of the next daemon, once there is one."""

    def __init__(
        self,
        loaded: LoadedSite,
        file: SiteFile,
        *,
        clock: Clock,
        watchdog: Watchdog,
        log: FilteringBoundLogger,
    ) -> None:
        self.loaded = loaded
        self.successor: LoadedSite | None = None
        self.arrived = asyncio.Event()
        self._asked = asyncio.Event()
        self._file = file
        self._clock = clock
        self._watchdog = watchdog
        self._log = log
        self._since_utc_s = clock.now().utc_s
        self._refused: str | None = None
        self._refused_utc_s = 0.0
        self._lock = asyncio.Lock()
        self._changed_again = False

    def taken_up(self) -> None:
        """Know that the successor is in force now."""
        if self.successor is not None:
            self.loaded, self.successor = self.successor, None
            self._since_utc_s = self._clock.now().utc_s
        self.arrived.clear()
        if self._changed_again:
            self._changed_again = False
            self._asked.set()

    def give_back(self, loaded: LoadedSite, fault: Exception) -> None:
        """Keep the site before after all: no daemon could be put together for the new one."""
        self.loaded = loaded
        self._log.critical("site_file_given_back", error=repr(fault))
        self._refuse((_finding("", "internal", f"it cannot be run: {fault!r}", "report it"),))

    def ask(self) -> None:
        """Have `run` read the file; never waits."""
        self._asked.set()

    async def run(self) -> None:
        """Read the file whenever that is asked for, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self.reload()

    async def reload(self) -> ReloadAnswer:
        """Read the file; never raises. A good one is in force a few seconds after the answer."""
        async with self._lock:
            self._watchdog.reloading()
            try:
                return await self._judge()
            finally:
                if self.successor is None:
                    self._watchdog.ready()

    async def act(self, _words: Sequence[str], _body: Document) -> object:
        """Answer `POST /v1/reload`."""
        return (await self.reload()).to_json()

    def alarms(self) -> tuple[Alarm, ...]:
        """That the file on the disk is not the one in force, if it was refused."""
        if self._refused is None:
            return ()
        return (
            Alarm(
                code=AlarmCode.SITE_FILE_REFUSED,
                severity=Severity.ALARM,
                id=self.loaded.site.id,
                text=f"the changed site file is not used: {self._refused}",
            ),
        )

    def status(self) -> ConfigStatus:
        """What is in force, and why a newer file is not."""
        refused_at = None if self._refused is None else rfc3339(self._refused_utc_s)
        return ConfigStatus(
            hash=self.loaded.config_hash,
            since=rfc3339(self._since_utc_s),
            refused=self._refused,
            refused_at=refused_at,
        )

    async def _judge(self) -> ReloadAnswer:
        if self.successor is not None:
            # Looked at again as soon as that is done: it may have been changed meanwhile.
            self._changed_again = True
            return self._answer("taken", self.successor, "another change is being taken up")
        try:
            new = await self._file.load()
            _refuse_another_site(self.loaded, new)
            said = _difference(self.loaded, new)
        except BadInput as bad:
            return self._refuse(bad.findings)
        except Exception as fault:  # noqa: BLE001 - a fault of ours in a check keeps the old file
            self._log.exception("site_file_check_failed")
            return self._refuse((_finding("", "internal", repr(fault), "report it"),))
        risks = new.open_risks()
        if risks:
            return self._refuse(
                [
                    _finding(
                        "accept_risks",
                        "open_risk",
                        f"{risk.name}: {risk.text}",
                        f"change the site, or accept it by name: accept_risks: [{risk.name}]",
                    )
                    for risk in risks
                ]
            )
        self._refused = None
        self._watchdog.status("")
        for warning in new.warnings:
            self._log.warning("site_file", text=str(warning))
        if new.config_hash == self.loaded.config_hash:
            self._log.info("site_file_unchanged")
            return self._answer("unchanged", new, "the site file in force is the same")
        self._log.warning("site_file_taken", config_hash=new.config_hash, text=said)
        self.successor = new
        self.arrived.set()
        return self._answer("taken", new, said)

    def _refuse(self, findings: Sequence[Finding]) -> ReloadAnswer:
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        self._refused = f"{findings[0]}{more}"
        self._refused_utc_s = self._clock.now().utc_s
        self._log.error("site_file_refused", findings=[str(finding) for finding in findings])
        self._watchdog.status("the changed site file is refused; the one before is in force")
        return ReloadAnswer(
            result="refused",
            config_hash=self.loaded.config_hash,
            message="the site file is not used; the one before stays in force",
            errors=[_report(finding) for finding in findings[:TOLD_FINDINGS]],
        )

    def _answer(self, result: Any, new: LoadedSite, message: str) -> ReloadAnswer:  # noqa: ANN401 - one of three words
        return ReloadAnswer(result=result, config_hash=new.config_hash, message=message, errors=[])


def _refuse_another_site(old: LoadedSite, new: LoadedSite) -> None:
    """Id and region are in every topic and every row of the outbox."""
    findings = [
        _finding(
            f"site.{name}",
            "needs_restart",
            f"{name} was {before} and is {now}",
            "a running daemon stays at its site: restart it (`systemctl restart edgectl`)",
        )
        for name, before, now in (
            ("id", old.site.id, new.site.id),
            ("region", old.site.region, new.site.region),
        )
        if before != now
    ]
    if findings:
        raise BadInput(findings)


def _difference(old: LoadedSite, new: LoadedSite) -> str:
    """Say what the new file means for what is connected."""
    known, gone = same_evses(old, new), leaving(old, new)
    again = frozenset(evse.id for evse in new.site.evses) - known
    parts = [f"{len(known)} of {len(new.site.evses)} EVSEs go on as they are"]
    if again:
        parts.append(f"met anew: {_some(again)}")
    if gone - again:
        parts.append(f"told their safe value and left: {_some(gone - again)}")
    return "; ".join(parts)


def _some(names: frozenset[Any]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:12]) + (", ..." if len(shown) > 12 else "")


def _finding(path: str, code: str, message: str, remedy: str) -> Finding:
    return Finding(file="site file", line=0, path=path, code=code, message=message, remedy=remedy)


def _report(finding: Finding) -> FindingReport:
    return FindingReport(
        file=finding.file,
        line=finding.line,
        path=finding.path,
        code=finding.code,
        message=finding.message,
        remedy=finding.remedy,
    )
