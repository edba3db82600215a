"""`edgectl demo`: a simulated depot on real sockets, a broker, the real daemon, faults, a report.

1. The run begins when the daemon is online; until then nobody charges.
2. Whatever was started is ended by its process id on every way out.
3. The report judges the truth of the simulated site and what came through the broker, nothing else.
"""

import asyncio
import json
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from shutil import move, rmtree
from tempfile import TemporaryDirectory
from typing import Final

from edgectl.errors import BadInput, Finding, StorageFailed, Unreachable
from edgectl.model.serial_line import SerialLine
from edgectl.model.site import has_phasors
from edgectl.simulator.demo.broker import Broker, own_broker
from edgectl.simulator.demo.daemon_process import (
    Arguments,
    daemon_arguments,
    daemon_process,
    ended,
)
from edgectl.simulator.demo.demo_site import link_facts, write_demo_site
from edgectl.simulator.demo.mqtt_tap import MqttTap, capacity_limit_event
from edgectl.simulator.demo.picture import draw
from edgectl.simulator.demo.plan import DrPlan, Plan, plan_run
from edgectl.simulator.demo.recorded import compress
from edgectl.simulator.demo.report import DrEvidence, Evidence, Report, judge
from edgectl.simulator.demo.view import Frame, faults_text, lines, plain_line
from edgectl.simulator.depot import Depot, build_depot
from edgectl.simulator.device.modbus_server import serve_stations, stop_servers
from edgectl.simulator.session_file import read_sessions
from edgectl.simulator.sessions import Session, built_in_sessions
from edgectl.sitefile.load import LoadedSite, load_site

JOURNAL: Final = "journal"

_ONLINE_S: Final = 20.0
_STEP_S: Final = 0.1
_VIEW_EVERY_S: Final = 0.5
_PLAIN_EVERY_S: Final = 5.0
_EVENT_SENT_S: Final = 3.0
_QUIET_S: Final = 1.0
_DRAIN_S: Final = 10.0

Show = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `edgectl demo` was asked for. `live`: the view may redraw the terminal."""

    site_file: Path
    out: Path
    duration_s: float = 90.0
    sessions: Path | None = None
    broker: Broker | None = None
    seed: int = 1
    live: bool = False
    profile_dirs: tuple[Path, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setup:
    """What is known before anything runs."""

    options: Options
    loaded: LoadedSite
    plan: Plan
    depot: Depot
    show: Show
    arguments: Arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class _World:
    """What runs during a demo."""

    setup: _Setup
    tap: MqttTap
    listening: asyncio.Task[None]
    process: asyncio.subprocess.Process
    log: Path
    event_id: str


async def run_demo(
    options: Options, *, show: Show, arguments: Arguments = daemon_arguments
) -> Report:
    """Run a demo, write its report and picture into `options.out`, and give the report.

    What the daemon's flight recorder has goes there too, however the run ends.

    Raises BadInput for a site or sessions file that cannot be used, Unreachable when broker or
    daemon do not come up or are lost.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    if task is not None:
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        setup = _prepare(options, show=show, arguments=arguments)
        try:
            async with AsyncExitStack() as stack:
                evidence = await _run(stack, setup)
        except BaseExceptionGroup as group:
            raise _cause(group) from None
        report = judge(evidence)
        _write(options.out, evidence, report)
        return report
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def summary(report: Report, out: Path) -> list[str]:
    """Give the report for people, in 80 columns."""
    rows = [f"result: {'ok' if report['ok'] else 'NOT ok'} after {report['duration_s']:.0f} s", ""]
    rows.append(f"{'node':<14}{'tightest moment':<34}{'longest overload':>18}{'allowed':>10}")
    for node, entry in report["nodes"].items():
        amps = "/".join(f"{value:.0f}" for value in entry.get("peak_a", []))
        limits = "/".join("-" if v is None else f"{v:.0f}" for v in entry.get("ceiling_a", []))
        tight = f"{amps} A of {limits} A" if limits else f"{amps} A"
        overload = f"{entry['overload_max_s']:.1f} s" if "overload_max_s" in entry else "-"
        allowed = f"{entry['allowed_s']:.1f} s" if "allowed_s" in entry else "-"
        rows.append(f"{node[:13]:<14}{tight[:33]:<34}{overload:>18}{allowed:>10}")
        if "ceiling_va" in entry:
            power = f"{entry['peak_va'] / 1000:.1f} kVA of {entry['ceiling_va'] / 1000:.0f} kVA"
            rows.append(f"{'':<14}{power}")
    rows.append("")
    if "dr" in report:
        words = {
            "received": report["dr"]["received"],
            "answered": report["dr"]["responded"],
            "kept": report["dr"]["kept"],
        }
        said = ", ".join(word if yes else f"NOT {word}" for word, yes in words.items())
        rows.append(f"demand response: {said}")
    telemetry = report["telemetry"]
    rows.append(
        f"telemetry: {telemetry['published']} messages published, {telemetry['received']} received"
    )
    rows.append(f"energy charged: {report['energy_kwh']:.2f} kWh")
    rows.append(f"written: {out / 'report.json'}, {out / 'picture.svg'}")
    return rows


def _sessions(options: Options, loaded: LoadedSite) -> tuple[Session, ...]:
    site = loaded.site
    if options.sessions is None:
        return built_in_sessions(
            site.evses, duration_s=options.duration_s, voltage_v=site.voltage_v
        )
    recorded = read_sessions(options.sessions)
    return compress(recorded, site.evses, duration_s=options.duration_s, voltage_v=site.voltage_v)


def _not_simulated(file: Path) -> Finding:
    return Finding(
        file=str(file),
        line=0,
        path="",
        code="not_simulated",
        message="the demo's depot has no line-to-line EVSEs and no transformers",
        remedy="name another site file, or try this one with `edgectl simulate`",
    )


def _prepare(options: Options, *, show: Show, arguments: Arguments) -> _Setup:
    loaded = load_site(options.site_file, profile_dirs=options.profile_dirs)
    if has_phasors(loaded.site):
        raise BadInput([_not_simulated(options.site_file)])
    plan = plan_run(loaded.site, _sessions(options, loaded), duration_s=options.duration_s)
    depot = build_depot(
        loaded.site, seed=options.seed, clock=time.monotonic, step_s=_STEP_S, record=True
    )
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise StorageFailed(f"{options.out} cannot be written: {fault.strerror}") from fault
    return _Setup(
        options=options, loaded=loaded, plan=plan, depot=depot, show=show, arguments=arguments
    )


async def _run(stack: AsyncExitStack, setup: _Setup) -> Evidence:
    options, site, show = setup.options, setup.loaded.site, setup.show
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="edgectl-demo-")))
    state = folder / "state"
    state.mkdir()
    stack.callback(_keep_journal, state, options.out)
    broker = options.broker
    if broker is None:
        broker = await stack.enter_async_context(own_broker(folder))
    servers = await serve_stations(setup.depot.stations(), site.links)
    stack.push_async_callback(stop_servers, servers)
    show(f"broker: {broker.name} on {broker.host}:{broker.port}")
    show(f"devices: {len(servers)} Modbus links for {len(site.evses)} EVSEs")
    tap = MqttTap(broker, prefix=f"edgectl/v1/{site.region}/{site.id}/")
    tasks = await stack.enter_async_context(asyncio.TaskGroup())
    # Its failure ends the whole run.
    listening = tasks.create_task(tap.listen(), name="region's subscriber")
    stack.callback(listening.cancel)
    await tap.subscribed()
    ends = {link.id: servers[link.id].link_keys(link.serial or SerialLine()) for link in site.links}
    site_file, log = options.out / "site.yaml", options.out / "daemon.log"
    write_demo_site(options.site_file, site_file, ends=ends, broker=broker)
    command = setup.arguments(site_file, state, folder / "edgectl.sock")
    process = await stack.enter_async_context(daemon_process(command, log=log))
    world = _World(
        setup=setup,
        tap=tap,
        listening=listening,
        process=process,
        log=log,
        event_id=f"demo-{int(time.time())}",
    )
    await _online(world)
    show(f"daemon: online, process {process.pid}")
    return await _play(world)


def _keep_journal(state: Path, out: Path) -> None:
    """Take the flight recorder's segments out of a state folder that goes away."""
    if (state / JOURNAL).is_dir():
        rmtree(out / JOURNAL, ignore_errors=True)
        move(state / JOURNAL, out / JOURNAL)


async def _play(world: _World) -> Evidence:
    setup = world.setup
    depot, plan = setup.depot, setup.plan
    start_utc_s = time.time()
    depot.begin(plan.scenario)
    view = _View(world)
    sent = plan.dr is None
    try:
        while (at_s := depot.scenario_s()) < plan.duration_s:
            if not sent and at_s >= _EVENT_SENT_S and plan.dr is not None:
                sent = True
                await _send_event(world, plan.dr, start_utc_s=start_utc_s)
            view.update(at_s)
            _still_there(world)
            await asyncio.sleep(_STEP_S)
            depot.advance()
    finally:
        view.close()
        if sent and plan.dr is not None and not world.listening.done():
            # An event that outlives its demo would hold the next one's site down.
            await world.tap.publish_retained(f"dr/event/{world.event_id}", b"")
    await _stop_and_drain(world)
    heard, dr = world.tap.heard, None
    if plan.dr is not None:
        dr = DrEvidence(
            node=plan.dr.node.id,
            from_s=plan.dr.from_s,
            until_s=plan.dr.until_s,
            limit_w=plan.dr.limit_w,
            pause_w=plan.dr.pause_w,
            received=world.event_id in heard.dr_states,
            responded=heard.answered(world.event_id),
        )
    return Evidence(
        site=setup.loaded.site,
        links=link_facts(setup.loaded),
        trace=depot.trace,
        faults=plan.scenario.faults,
        duration_s=plan.duration_s,
        start_utc_s=start_utc_s,
        delivered_wh=depot.delivered_wh(),
        published=heard.published,
        received=heard.received,
        dr=dr,
    )


async def _online(world: _World) -> None:
    """Wait until the daemon says that it is there."""
    deadline_s = time.monotonic() + _ONLINE_S
    while not world.tap.heard.online.is_set():
        _still_there(world)
        if time.monotonic() > deadline_s:
            raise Unreachable(
                message=f"the daemon was not online at the broker within {_ONLINE_S:.0f} s",
                remedy=f"see {world.log}",
            )
        await asyncio.sleep(_STEP_S)
        world.setup.depot.advance()


def _still_there(world: _World) -> None:
    if world.process.returncode is not None:
        raise ended(world.process, log=world.log)


async def _send_event(world: _World, dr: DrPlan, *, start_utc_s: float) -> None:
    event = capacity_limit_event(
        world.event_id,
        dr.program.id,
        made_utc_s=time.time(),
        start_utc_s=start_utc_s + dr.from_s,
        duration_s=dr.until_s - dr.from_s,
        limit_w=dr.limit_w,
    )
    await world.tap.publish_retained(f"dr/event/{world.event_id}", event)


async def _stop_and_drain(world: _World) -> None:
    """End the daemon in order, and count until nothing more comes."""
    world.process.terminate()
    deadline_s = time.monotonic() + _DRAIN_S
    quiet_since_s, seen = time.monotonic(), world.tap.heard.messages
    while time.monotonic() < deadline_s:
        await asyncio.sleep(_STEP_S)
        if world.tap.heard.messages != seen or world.process.returncode is None:
            quiet_since_s, seen = time.monotonic(), world.tap.heard.messages
        elif time.monotonic() - quiet_since_s >= _QUIET_S:
            return


def _cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the first thing that went wrong; the rest followed from it."""
    first = group.exceptions[0]
    return _cause(first) if isinstance(first, BaseExceptionGroup) else first


class _View:
    """Redraws a terminal, or says a line from time to time."""

    def __init__(self, world: _World) -> None:
        self._world = world
        self._show = world.setup.show
        self._next_s = 0.0
        self._faults = ""
        self._live = world.setup.options.live
        if self._live:
            self._show("\x1b[?25l")

    def update(self, at_s: float) -> None:
        """Show the present, if it is time."""
        world = self._world
        faults = faults_text(world.setup.depot.active_faults())
        if at_s < self._next_s and (self._live or faults == self._faults):
            return
        self._faults = faults
        self._next_s = at_s + (_VIEW_EVERY_S if self._live else _PLAIN_EVERY_S)
        heard = world.tap.heard
        frame = Frame(
            at_s=at_s,
            duration_s=world.setup.plan.duration_s,
            dr_text=_dr_text(world, at_s),
            telemetry_text=f"{heard.received} messages, {heard.samples} values",
        )
        if self._live:
            self._show("\x1b[H\x1b[J" + "\n".join(lines(world.setup.depot, frame)))
        else:
            self._show(plain_line(world.setup.depot, frame))

    def close(self) -> None:
        """Give the terminal back."""
        if self._live:
            self._show("\x1b[?25h")


def _dr_text(world: _World, at_s: float) -> str:
    dr = world.setup.plan.dr
    if dr is None:
        return "no program in the site file"
    limit = f"{dr.limit_w / 1000.0:.0f} kW"
    states = world.tap.heard.dr_states.get(world.event_id, [])
    said = states[-1] if states else "not answered"
    if at_s < dr.from_s:
        return f"{limit} in {dr.from_s - at_s:.0f} s, {said}"
    if at_s < dr.until_s:
        return f"{limit} for {dr.until_s - at_s:.0f} s more, {said}"
    return f"over, {said}"


def _write(out: Path, evidence: Evidence, report: Report) -> None:
    text = json.dumps(report, indent=2)
    (out / "report.json").write_text(text + "\n", encoding="utf-8")
    (out / "picture.svg").write_text(draw(evidence, report), encoding="utf-8")
