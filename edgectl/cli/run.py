"""`edgectl run`: the daemon. The one place where real ports are made."""

import argparse
import asyncio
import os
import random
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from edgectl import __version__
from edgectl.adapters import log
from edgectl.adapters.certificates import CertificateWatch
from edgectl.adapters.clock import SystemClock
from edgectl.adapters.crash_record import CrashRecordFiles
from edgectl.adapters.evidence import SqliteEvidence
from edgectl.adapters.facts import SqliteFacts
from edgectl.adapters.folder_lock import FolderLock
from edgectl.adapters.journal import JournalFiles
from edgectl.adapters.local_socket import LocalSocket, group_id_of
from edgectl.adapters.modbus_lines import line_of
from edgectl.adapters.mqtt import MqttBroker
from edgectl.adapters.outbox import SqliteOutbox
from edgectl.adapters.store import SqliteStore
from edgectl.adapters.systemd import Systemd
from edgectl.cli.client import add_socket_option, socket_path
from edgectl.cli.output import DONE, NO, fail, prose
from edgectl.contract.messages import thin
from edgectl.control.static import Risk
from edgectl.daemon.api import READER_GROUP, Rights
from edgectl.daemon.assemble import Ports
from edgectl.daemon.lifecycle import Daemon
from edgectl.daemon.reload import Reloader
from edgectl.daemon.succession import run_in_succession
from edgectl.errors import BadInput, Finding, Refused, StorageFailed
from edgectl.model.issuer import SignatureCheck
from edgectl.sitefile.load import LoadedSite, load_site

SITE_FILE: Final = Path("/etc/edgectl/site.yaml")
STATE_FOLDER: Final = Path("/var/lib/edgectl")
_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `run`."""
    parser = subparsers.add_parser(
        "run",
        help="run the daemon (systemd does this)",
        description=prose(
            "Reads meters and chargers and keeps every limit until it is told to stop (SIGTERM). "
            "Then every charger gets the safe decision first."
        ),
        epilog="example:\n  edgectl run --config site.yaml --state ./state --socket ./edgectl.sock",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        default=SITE_FILE,
        help=f"the site file (default {SITE_FILE})",
    )
    parser.add_argument(
        "--state",
        metavar="DIR",
        type=Path,
        default=STATE_FOLDER,
        help=f"what outlives a restart is kept here (default {STATE_FOLDER})",
    )
    parser.add_argument(
        "--profiles",
        metavar="DIR",
        type=Path,
        action="append",
        help="a folder of device profiles, in place of the usual ones; may be repeated",
    )
    parser.add_argument(
        "--trust-clock",
        action="store_true",
        help="believe the wall clock although no time source on this machine says that it is set "
        "(a container or virtual machine that has its host's clock)",
    )
    add_socket_option(parser)


def run(args: argparse.Namespace) -> int:
    """Check the site file, then run until a signal; the exit code."""
    loaded = load_site(args.config, profile_dirs=args.profiles)
    risks = loaded.open_risks()
    if risks:
        _refuse(args, risks)
        return NO
    log.configure(stream=sys.stderr, readable=sys.stderr.isatty())
    journal = structlog.get_logger("edgectl")
    for warning in loaded.warnings:
        journal.warning("site_file", text=str(warning))
    asyncio.run(
        _serve(
            loaded,
            SiteFileOnDisk(args.config, profile_dirs=args.profiles),
            state=args.state,
            socket=socket_path(args),
            trust_clock=args.trust_clock,
        )
    )
    return DONE


async def real_ports(
    loaded: LoadedSite,
    *,
    state: Path,
    socket: Path,
    trust_clock: bool,
    certificates: CertificateWatch,
    closing: AsyncExitStack,
) -> Ports:
    """Make what the daemon runs on, on this machine. Both locks are taken before all else."""
    _make_folder(socket.parent, mode=0o755)
    local_server = LocalSocket(socket, group_id=group_id_of(READER_GROUP))
    local_server.open()
    closing.callback(local_server.close)
    _make_folder(state, mode=0o750)
    folder_lock = FolderLock(state)
    folder_lock.take()
    closing.callback(folder_lock.close)
    clock = SystemClock(always_trusted=trust_clock)
    watchdog = Systemd.from_environment(os.environ)
    closing.callback(watchdog.close)
    store = SqliteStore(state / "state.db")
    closing.push_async_callback(store.close)
    await store.open()
    for alarm in store.alarms():
        structlog.get_logger("edgectl").critical(alarm.code, text=alarm.text)
    facts = SqliteFacts(state / "facts.db", on_damage=_say_damage)
    closing.push_async_callback(facts.close)
    evidence = await _open_evidence(state / "evidence.db", closing)

    journal = JournalFiles(state / "journal", version=__version__)
    closing.push_async_callback(journal.close)

    ports = Ports(
        clock=clock,
        rng=random.Random(),  # noqa: S311 - jitter and fairness, no secret
        watchdog=watchdog,
        crash_record=CrashRecordFiles(state),
        journal=journal,
        store=store,
        alarms=lambda: (*store.alarms(), *certificates.alarms(clock.now())),
        line=lambda link: line_of(link, clock),
        facts=facts,
        signature_check=_signature_check(loaded),
        evidence=evidence,
        local_server=local_server,
        rights=Rights(daemon_uid=os.geteuid(), group_id=group_id_of),
    )
    certificates.watch(loaded.settings.mqtt)
    return await _with_region(ports, loaded, state=state, closing=closing)


async def _open_evidence(path: Path, closing: AsyncExitStack) -> SqliteEvidence:
    """Chargers matter more than the record: where its disk refuses, this is said."""
    evidence = SqliteEvidence(path)
    closing.push_async_callback(evidence.close)
    try:
        await evidence.open()
    except StorageFailed as fault:
        structlog.get_logger("edgectl").critical("no_evidence", error=str(fault))
    return evidence


def _signature_check(loaded: LoadedSite) -> SignatureCheck | None:
    """None without issuers: the library is 8 MB, so it is loaded only where somebody signs."""
    issuers = loaded.settings.commands.issuers
    if not issuers:
        return None
    from edgectl.adapters.signatures import CryptographyCheck  # noqa: PLC0415

    return CryptographyCheck(issuers)


async def _with_region(
    ports: Ports, loaded: LoadedSite, *, state: Path, closing: AsyncExitStack
) -> Ports:
    """Add the way to the region's brokers, as the site file has it; an open outbox stays."""
    site, mqtt = loaded.site, loaded.settings.mqtt
    if mqtt is None:
        if ports.outbox is not None:
            await ports.outbox.close()
        return replace(ports, broker=None, outbox=None)
    broker = MqttBroker(mqtt, identifier=f"edgectl-{site.region}-{site.id}")
    outbox = ports.outbox
    if outbox is None:
        # Chargers matter more than the region's figures: control runs, and this is said.
        outbox = opened = await SqliteOutbox.open(
            state / "outbox.db",
            thin=thin,
            max_bytes=loaded.settings.telemetry.disk_bytes,
            on_failure=_say_no_telemetry,
        )
        closing.push_async_callback(opened.close)
    return replace(ports, broker=broker, outbox=outbox)


async def _serve(
    loaded: LoadedSite,
    file: "SiteFileOnDisk",
    *,
    state: Path,
    socket: Path,
    trust_clock: bool,
) -> None:
    """Run one daemon after the other, until a signal: the next one takes over at a reload."""
    loop = asyncio.get_running_loop()
    # Until there is somebody to reload it, a hang-up says nothing: the file has just been read.
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    certificates = CertificateWatch()
    async with AsyncExitStack() as closing:
        ports = await real_ports(
            loaded,
            state=state,
            socket=socket,
            trust_clock=trust_clock,
            certificates=certificates,
            closing=closing,
        )
        reloader = Reloader(
            loaded,
            file,
            clock=ports.clock,
            watchdog=ports.watchdog,
            log=structlog.get_logger("edgectl"),
        )
        signals = _Signals()
        signals.listen(loop, reloader)
        told = loaded.settings

        async def fit(ports: Ports, site: LoadedSite) -> Ports:
            nonlocal told
            before, told = told, site.settings
            if told.commands.issuers != before.commands.issuers:
                ports = replace(ports, signature_check=_signature_check(site))
            if told.mqtt == before.mqtt:
                return ports
            certificates.watch(told.mqtt)
            return await _with_region(ports, site, state=state, closing=closing)

        await run_in_succession(reloader, ports, version=__version__, fit=fit, steer=signals.steer)


class SiteFileOnDisk:
    """The site file, read and checked in a thread: control goes on meanwhile."""

    def __init__(self, path: Path, *, profile_dirs: Sequence[Path] | None) -> None:
        self._path = path
        self._profile_dirs = profile_dirs

    async def load(self) -> LoadedSite:
        """Read and check it; `BadInput` with everything that is wrong."""
        loaded = await asyncio.to_thread(load_site, self._path, profile_dirs=self._profile_dirs)
        try:
            _signature_check(loaded)
        except Refused as bad:
            raise BadInput(
                [
                    Finding(
                        file=str(self._path),
                        line=0,
                        path="commands.issuers",
                        code=bad.code,
                        message=bad.message,
                        remedy=bad.remedy,
                    )
                ]
            ) from bad
        return loaded


class _Signals:
    """Stop and hang-up for whichever daemon runs."""

    def __init__(self) -> None:
        self._daemon: Daemon | None = None
        self._stopped = False

    def listen(self, loop: asyncio.AbstractEventLoop, reloader: Reloader) -> None:
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, reloader.ask)

    def steer(self, daemon: Daemon) -> None:
        """Give the signals to this one; a stop that came in between is not forgotten."""
        self._daemon = daemon
        if self._stopped:
            daemon.stop()

    def _stop(self) -> None:
        self._stopped = True
        if self._daemon is not None:
            self._daemon.stop()


def _say_no_telemetry(fault: StorageFailed) -> None:
    structlog.get_logger("edgectl").critical("no_telemetry", error=str(fault))


def _say_damage(text: str) -> None:
    structlog.get_logger("edgectl").critical("figures_lost", error=text)


def _refuse(args: argparse.Namespace, risks: Sequence[Risk]) -> None:
    names = ", ".join(risk.name for risk in risks)
    said = "; ".join(f"{risk.name}: {risk.text}" for risk in risks)
    fail(
        code="open_risk",
        message=f"{args.config} leaves risks that nobody accepted: {said}",
        remedy=f"change the site, or accept them by name with accept_risks: [{names}] "
        "(`edgectl check` shows the figures)",
        as_json=args.json,
    )


def _make_folder(folder: Path, *, mode: int) -> None:
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as fault:
        raise StorageFailed(f"cannot make the folder {folder}: {fault.strerror}") from fault
