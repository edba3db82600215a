"""`edgectl doctor`: what a colleague would look at first, each with what to do about it."""

import argparse
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from edgectl.cli.client import Client, add_socket_option, socket_path
from edgectl.cli.output import (
    DONE,
    NO,
    CliError,
    broken,
    printable,
    prose,
    say,
    show_json,
    span,
    terminal_width,
)
from edgectl.errors import BadInput, Unreachable
from edgectl.sitefile.load import LoadedSite, load_site

SITE_FILE: Final = Path("/etc/edgectl/site.yaml")
STATE_FOLDER: Final = Path("/var/lib/edgectl")

DISK_FREE_BYTES: Final = 256 * 1024 * 1024
DISK_FREE_SHARE: Final = 0.05
BUS_LOAD_SHARE: Final = 0.7
MISSED_SHARE: Final = 0.05
ASKED_LEAST: Final = 20
BACKLOG_ROWS: Final = 1000
P99_MS: Final = 100.0
EXPIRES_S: Final = 30 * 86_400
ALARMS_TOLD: Final = 10
LINKS_TOLD: Final = 5


class Verdict(StrEnum):
    """How it stands."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One look. `remedy` is empty where all is well."""

    about: str
    verdict: Verdict
    text: str
    remedy: str = ""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `doctor`."""
    parser = subparsers.add_parser(
        "doctor",
        help="look at everything that usually goes wrong",
        description=prose(
            "Looks at daemon, clock, site file, links and their load, broker, certificates, disk "
            "and alarms, and says what to do about each. Exit code 1 if anything is bad."
        ),
        epilog="example:\n  edgectl doctor",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_place_options(parser)
    add_socket_option(parser)


def add_place_options(parser: argparse.ArgumentParser) -> None:
    """Add where site file and state are."""
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
        help=f"where the daemon keeps its state (default {STATE_FOLDER})",
    )


def run(args: argparse.Namespace) -> int:
    """Look, and say it."""
    findings = examine(args)
    bad = any(finding.verdict is Verdict.BAD for finding in findings)
    if args.json:
        show_json({"ok": not bad, "findings": [asdict(finding) for finding in findings]})
    else:
        width = terminal_width() or 80
        for finding in findings:
            for line in _lines(finding, width):
                print(line)
        counts = {one: sum(f.verdict is one for f in findings) for one in Verdict}
        say(
            f"{counts[Verdict.BAD]} bad, {counts[Verdict.WARN]} to look at, {counts[Verdict.OK]} ok"
        )
    return NO if bad else DONE


def examine(args: argparse.Namespace) -> list[Finding]:
    """Everything, in the order in which a person would look."""
    findings: list[Finding] = []
    client = Client(socket_path(args))
    status = devices = None
    try:
        status = client.get("status")
        devices = client.get("devices")
    except (Unreachable, CliError) as fault:
        findings.append(Finding("daemon", Verdict.BAD, fault.message, fault.remedy))
    loaded = _site_file(args.config, findings)
    if status is not None:
        findings += [*_daemon(status), *_clock(status), *_config(status, loaded)]
        findings += _broker(status)
    if status is not None and devices is not None:
        findings += _together(list(_links(status, devices)))
    findings += _certificates(loaded)
    findings += _disk(args.state)
    if status is not None:
        findings += _alarms(status)
    return findings


def _site_file(path: Path, findings: list[Finding]) -> LoadedSite | None:
    try:
        loaded = load_site(path)
    except BadInput as bad:
        first = bad.findings[0]
        more = f" (and {len(bad.findings) - 1} more)" if len(bad.findings) > 1 else ""
        place = f"{first.file}:{first.line}" if first.line else first.file
        text = f"{place}: {first.message}{more}"
        findings.append(
            Finding("site file", Verdict.BAD, text, f"`edgectl check {path}` says everything")
        )
        return None
    risks = [risk.name for risk in loaded.open_risks()]
    if risks:
        text = f"{path} leaves risks that nobody accepted: {', '.join(risks)}"
        findings.append(Finding("site file", Verdict.BAD, text, f"`edgectl check {path}`"))
    else:
        findings.append(Finding("site file", Verdict.OK, f"{path} is sound"))
    return loaded


def _daemon(status: dict[str, Any]) -> Iterator[Finding]:
    tick = status["tick"]
    if status.get("safe"):
        yield Finding(
            "daemon",
            Verdict.BAD,
            "the safe decision is in force: the step contradicted itself",
            "`journalctl -u edgectl` and `edgectl bundle`; please report it",
        )
    elif tick["age_s"] > 3.0:
        yield Finding(
            "daemon",
            Verdict.BAD,
            f"the last tick is {tick['age_s']:.0f} s old",
            "see the load of this machine (`top`) and `journalctl -u edgectl`",
        )
    elif tick["p99_ms"] > P99_MS:
        yield Finding(
            "daemon",
            Verdict.WARN,
            f"1 tick of 100 takes more than {tick['p99_ms']:.0f} ms",
            "see what else this machine does (`top`)",
        )
    else:
        text = f"{status['mode']}, tick {tick['number']}, p99 {tick['p99_ms']:.1f} ms"
        yield Finding("daemon", Verdict.OK, text)


def _clock(status: dict[str, Any]) -> Iterator[Finding]:
    if status["clock_trusted"]:
        yield Finding("clock", Verdict.OK, f"set, {status['at'][:19]}Z")
    else:
        yield Finding(
            "clock",
            Verdict.BAD,
            "nobody has set this machine's clock: only what tightens is taken",
            "enable systemd-timesyncd or chrony, and see that it reaches its server"
            " (`timedatectl`)",
        )


def _config(status: dict[str, Any], loaded: LoadedSite | None) -> Iterator[Finding]:
    config = status.get("config")
    if not config:
        return
    if config.get("refused"):
        yield Finding(
            "site file", Verdict.BAD, f"not in force: {config['refused']}", "mend it, then reload"
        )
    elif loaded is not None and loaded.config_hash != config["hash"]:
        yield Finding(
            "site file",
            Verdict.WARN,
            "the file on the disk is another than the one in force",
            "`edgectl reload` takes it up",
        )


def _broker(status: dict[str, Any]) -> Iterator[Finding]:
    mqtt = status.get("mqtt")
    if mqtt is None:
        return
    backlog = mqtt["backlog"]
    if not mqtt["connected"]:
        yield Finding(
            "broker",
            Verdict.BAD,
            f"not connected, {backlog} rows wait: {mqtt.get('last_error') or 'no attempt yet'}",
            "look at network, address, certificates and the broker's log",
        )
    elif mqtt.get("refused"):
        yield Finding(
            "broker",
            Verdict.BAD,
            f"connected to {mqtt.get('broker')}, which refuses {', '.join(mqtt['refused'])}",
            "the alarm broker_refuses says what this client needs the right to",
        )
    elif backlog > BACKLOG_ROWS:
        yield Finding(
            "broker",
            Verdict.WARN,
            f"connected to {mqtt.get('broker')}, but {backlog} rows wait",
            "it is catching up after an outage",
        )
    else:
        yield Finding("broker", Verdict.OK, f"connected to {mqtt.get('broker')}, {backlog} wait")


def _links(status: dict[str, Any], devices: dict[str, Any]) -> Iterator[Finding]:
    up_s = (
        datetime.fromisoformat(status["at"]) - datetime.fromisoformat(status["since"])
    ).total_seconds()
    for link in devices["links"]:
        about = f"link {link['id']}"
        if not link["connected"]:
            yield Finding(
                about,
                Verdict.BAD,
                f"no connection for {span(link['since_s'])}: {link.get('last_error') or '?'}",
                "power, cable, address; some chargers take one connection only",
            )
            continue
        units = {device["unit"]: device for device in link["devices"]}.values()
        busy_s = sum(one["requests"] * (one.get("round_trip_ms") or 0.0) for one in units) / 1000
        load = busy_s / up_s if up_s > 0 else 0.0
        missing = [
            one["id"]
            for one in units
            if one["requests"] >= ASKED_LEAST and one["misses"] > MISSED_SHARE * one["requests"]
        ]
        if missing:
            yield Finding(
                about,
                Verdict.WARN,
                f"more than {MISSED_SHARE:.0%} of the questions to {', '.join(missing)} go without"
                " an answer",
                "cable, termination, unit id; `edgectl devices ID` has the last trouble",
            )
        elif load > BUS_LOAD_SHARE:
            yield Finding(
                about,
                Verdict.WARN,
                f"busy for {load:.0%} of the time",
                "longer poll_s, a higher baud rate, or fewer devices on it",
            )
        else:
            yield Finding(about, Verdict.OK, f"connected, busy for {load:.0%} of the time")


def _together(links: list[Finding]) -> list[Finding]:
    """Those in trouble one by one; where many are well, all of these in one line."""
    well = [one for one in links if one.verdict is Verdict.OK]
    if len(well) <= LINKS_TOLD:
        return links
    text = f"{len(well)} of {len(links)} are connected, answer, and have time left"
    return [Finding("links", Verdict.OK, text), *(one for one in links if one not in well)]


def _certificates(loaded: LoadedSite | None) -> Iterator[Finding]:
    if loaded is None or loaded.settings.mqtt is None:
        return
    mqtt = loaded.settings.mqtt
    for warning in loaded.warnings:
        if warning.path.startswith("mqtt."):
            yield Finding("certificates", Verdict.BAD, warning.message, warning.remedy)
    for name, path in (("ca", mqtt.ca), ("cert", mqtt.cert)):
        if path is None or not os.access(path, os.R_OK):
            continue
        yield _expiry(name, path)


def _expiry(name: str, path: str) -> Finding:
    """When a certificate ends, as openssl says it."""
    about, program = "certificates", shutil.which("openssl")
    if program is None:
        text = f"when {name} {path} ends cannot be told without openssl"
        return Finding(about, Verdict.WARN, text, "install openssl, or look at it elsewhere")

    def ask(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(  # noqa: S603 - a program of the system and a path of the site file
            [program, "x509", "-noout", "-in", path, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )

    said = ask("-enddate")
    if said.returncode != 0:
        text = f"{name} {path} holds no certificate"
        return Finding(about, Verdict.BAD, text, "write it there in PEM")
    text = f"{name} {path} ends {said.stdout.strip().removeprefix('notAfter=')}"
    if ask("-checkend", "0").returncode != 0:
        return Finding(about, Verdict.BAD, f"{text}: that is past", "renew it")
    if ask("-checkend", str(EXPIRES_S)).returncode != 0:
        return Finding(about, Verdict.WARN, text, "renew it in time; no restart is needed for it")
    return Finding(about, Verdict.OK, text)


def _disk(state: Path) -> Iterator[Finding]:
    try:
        usage = shutil.disk_usage(state)
        kept = sum(one.stat().st_size for one in state.iterdir() if one.is_file())
    except OSError as fault:
        yield Finding(
            "disk",
            Verdict.WARN,
            f"{state} cannot be looked at by this user: {fault.strerror}",
            "use sudo, or name the daemon's folder with --state",
        )
        return
    free_mb = usage.free / 1e6
    text = f"{free_mb:.0f} MB free where {state} is, {kept / 1e6:.1f} MB of it are ours"
    if usage.free < DISK_FREE_BYTES or usage.free < DISK_FREE_SHARE * usage.total:
        yield Finding(
            "disk",
            Verdict.BAD,
            text,
            "free space: without it no order and no telemetry is kept (`journalctl --vacuum-size`)",
        )
    else:
        yield Finding("disk", Verdict.OK, text)
    for one in sorted(state.glob("*.unreadable")):
        yield Finding(
            "disk",
            Verdict.WARN,
            f"{one.name} was damaged and put aside",
            f"see the disk's health (`smartctl`), then remove {one}",
        )


def _alarms(status: dict[str, Any]) -> Iterator[Finding]:
    loud = [alarm for alarm in status["alarms"] if alarm["severity"] in {"alarm", "critical"}]
    if not loud:
        yield Finding("alarms", Verdict.OK, f"none, and {len(status['alarms'])} warnings")
    for alarm in loud[:ALARMS_TOLD]:
        yield Finding("alarms", Verdict.BAD, f"{alarm['code']} {alarm['id']}: {alarm['text']}")
    if len(loud) > ALARMS_TOLD:
        more = f"and {len(loud) - ALARMS_TOLD} more"
        yield Finding("alarms", Verdict.BAD, more, "`edgectl status` has all")


def _lines(finding: Finding, width: int) -> list[str]:
    text = f"{finding.verdict.upper():<4}  {finding.about}: {finding.text}"
    lines = broken(printable(text), width, indent="      ")
    if finding.remedy:
        lines += broken(printable(f"      -> {finding.remedy}"), width, indent="   ")
    return lines
