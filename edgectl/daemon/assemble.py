"""The one place that wires: site and ports become a daemon that runs.

Everything that touches the world comes in through `Ports`, so the same daemon runs on a gateway
and, on a virtual clock with everything in memory, in a simulation.
"""

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from edgectl.clock import Instant
from edgectl.contract.birth import BirthFacts
from edgectl.contract.envelope import rfc3339
from edgectl.contract.local import MqttStatus
from edgectl.contract.messages import Event
from edgectl.contract.topics import Topics
from edgectl.contract.vocabulary import EventCode, Severity
from edgectl.daemon.api import LocalApi, Rights
from edgectl.daemon.books.baselines import Baselines
from edgectl.daemon.books.bookkeeping import Bookkeeping
from edgectl.daemon.books.ledger import Ledger
from edgectl.daemon.chronicle import Chronicle
from edgectl.daemon.desk.audit import Audit
from edgectl.daemon.desk.ceilings import Ceilings
from edgectl.daemon.desk.commands import CommandDesk
from edgectl.daemon.desk.correspondence import Correspondence
from edgectl.daemon.desk.events import EventDesk
from edgectl.daemon.desk.held_event import Promise
from edgectl.daemon.desk.promises import Promises
from edgectl.daemon.desk.seals import Seals
from edgectl.daemon.desk.utility_links import UtilityLinks
from edgectl.daemon.dr_view import DrView
from edgectl.daemon.handover import Handover
from edgectl.daemon.lifecycle import Daemon
from edgectl.daemon.lines.actuation import Actuation
from edgectl.daemon.lines.image import Image
from edgectl.daemon.lines.lease import Lease
from edgectl.daemon.lines.links import LinkOwner
from edgectl.daemon.lines.mains import Mains
from edgectl.daemon.lines.workbench import Workbench
from edgectl.daemon.recorder import Recorder
from edgectl.daemon.region.pace import Pace
from edgectl.daemon.region.publisher import Publisher
from edgectl.daemon.region.telemetry import Telemetry
from edgectl.daemon.reload import Reloader
from edgectl.daemon.tick import Tick
from edgectl.daemon.turns import Turns
from edgectl.grid.plan import EventPlan
from edgectl.grid.targets import Element
from edgectl.model.decision import Alarm
from edgectl.model.evidence import Evidence
from edgectl.model.facts import FactStore
from edgectl.model.issuer import SignatureCheck
from edgectl.model.local_api import LocalServer
from edgectl.model.modbus import Line
from edgectl.model.ports import Clock, CrashRecord, Journal, Watchdog
from edgectl.model.rules import ALL_ON, Rules
from edgectl.model.settings import MqttSettings
from edgectl.model.site import Link
from edgectl.model.store import Store
from edgectl.model.telemetry import Broker, Outbox
from edgectl.model.trust import Connection
from edgectl.planning.lead import Leads
from edgectl.sitefile.load import LoadedSite

SAFE_STOP_S: Final = 3.0
"""For the safe decision on a link, beside the time to write every EVSE on it once (S20)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything outside. `broker` and `outbox` are None where the site publishes nothing.

    `alarms`: what is wrong with the ports themselves. `facts` None: no figures are kept. `journal`
    None: nothing is recorded. `evidence` None: nothing is kept for later. `signature_check` is None
    where the site has no issuers. `line` makes the line of a link. `rng` gives jitter and random
    draws. `rights` and `local_server` are None where nobody asks locally.
    """

    clock: Clock
    rng: random.Random
    watchdog: Watchdog
    crash_record: CrashRecord
    store: Store
    line: Callable[[Link], Line]
    journal: Journal | None = None
    facts: FactStore | None = None
    signature_check: SignatureCheck | None = None
    evidence: Evidence | None = None
    outbox: Outbox | None = None
    broker: Broker | None = None
    local_server: LocalServer | None = None
    rights: Rights | None = None
    alarms: Callable[[], tuple[Alarm, ...]] = tuple


def assemble(
    loaded: LoadedSite,
    ports: Ports,
    *,
    version: str,
    before: Handover | None = None,
    reloader: Reloader | None = None,
    rules: Rules = ALL_ON,
) -> Daemon:
    """Wire a daemon for the site; nothing happens before its `run`.

    `before`: what the daemon before in this process hands over. `reloader` None: the site stays.
    `rules`: only a simulation may switch one off.
    """
    site, settings = loaded.site, loaded.settings
    log = structlog.get_logger("edgectl").bind(site=site.id)
    lease = Lease() if rules.s16_lease else Lease(hold_s=math.inf)
    wake = asyncio.Event()
    known = {} if before is None else before.known_evses(loaded)
    image = Image(
        site,
        on_wake=wake.set,
        meters=None if before is None else before.known_meters(loaded),
        evses=known,
    )
    mains = Mains(site, loaded.profiles, image)
    owners = tuple(
        LinkOwner(
            link=link,
            meters=tuple(meter for meter in site.meters if meter.link == link.id),
            evses=tuple(evse for evse in site.evses if evse.link == link.id),
            profiles=loaded.profiles,
            line=ports.line(link),
            image=image,
            lease=lease,
            clock=ports.clock,
            rng=random.Random(ports.rng.random()),  # noqa: S311 - jitter, no secret
            mode=site.mode,
            log=log.bind(link=link.id),
            known=known,
            mains=mains,
            rules=rules,
        )
        for link in site.links
    )
    audit = Audit(evidence=ports.evidence, store=ports.store)
    correspondence = Correspondence(
        names=Topics(region=site.region, site=site.id),
        outbox=ports.outbox,
        clock=ports.clock,
        connection=_connection(settings.mqtt),
        audit=audit,
    )
    seals = Seals(site=site.id, issuers=settings.commands.issuers, check=ports.signature_check)
    links = UtilityLinks(site=site, store=ports.store, audit=audit.note)
    leads = Leads(site, {node: proof.physics_s for node, proof in loaded.proof.nodes.items()})

    async def assess(plan: EventPlan, now: Instant) -> Promise:
        return await promises(plan, now)

    events = EventDesk(
        site=site,
        store=ports.store,
        unsigned=settings.commands.unsigned,
        draw=ports.rng.random,
        reply=correspondence.reply_event,
        audit=audit.note,
        seals=seals,
        lead=lambda plan, element: _lead_s(leads, plan, element),
        assess=assess,
        limited=links.limited,
    )
    commands = CommandDesk(
        site=site,
        store=ports.store,
        unsigned=settings.commands.unsigned,
        reply=correspondence.reply_command,
        audit=audit.note,
        seals=seals,
        lifts=events.lifts,
    )
    correspondence.serve(events=events, commands=commands, links=links)

    ceilings = Ceilings(site, events=events, links=links, commands=commands)
    promises = Promises(
        site=site,
        latest=lambda: tick.latest,
        targets=commands.targets,
        ceilings=lambda: ceilings(ports.clock.now()),
        clock=ports.clock,
    )
    ledger = Ledger(
        site=site,
        store=ports.store,
        evidence=ports.evidence,
        baselines=Baselines(site=site, store=ports.store),
        watched=events.begun,
        send=correspondence.report,
    )
    turns = Turns(site, store=ports.store)
    recorder = telemetry = publisher = books = None
    if ports.journal is not None:
        recorder = Recorder(journal=ports.journal, clock=ports.clock, log=log)

    def other_alarms() -> tuple[Alarm, ...]:
        return (
            *(alarm for owner in owners for alarm in owner.alarms()),
            *(
                alarm
                for part in (recorder, telemetry, books, publisher)
                if part is not None
                for alarm in part.alarms()
            ),
            *links.alarms(),
            *events.alarms(ports.clock.now()),
            *audit.alarms(),
            *ports.alarms(),
            *(() if reloader is None else reloader.alarms()),
        )

    chronicle = Chronicle(ports.clock) if before is None else before.chronicle
    chronicle.watch(other_alarms)
    if ports.facts is not None:
        books = Bookkeeping(
            site=site,
            settings=settings.indicators,
            facts=ports.facts,
            outbox=ports.outbox,
            clock=ports.clock,
            alarms=other_alarms,
            tell=chronicle.tell,
        )
    if ports.outbox is not None:
        telemetry = Telemetry(
            outbox=ports.outbox,
            clock=ports.clock,
            alarms=other_alarms,
            settings=settings.telemetry,
            happenings=None if before is None else before.happenings,
        )
        if ports.broker is not None:
            publisher = Publisher(
                broker=ports.broker,
                outbox=ports.outbox,
                clock=ports.clock,
                random=ports.rng.random,
                facts=BirthFacts(
                    site=site,
                    version=version,
                    config_hash=loaded.config_hash,
                    telemetry=settings.telemetry,
                ),
                handler=correspondence.handle,
                pace=Pace(backfill_rows_per_s=settings.telemetry.backfill_rows_per_s),
            )
    tick = Tick(
        site=site,
        image=image,
        ceilings=ceilings,
        isolated=ceilings.isolated,
        targets=commands.targets,
        # A daemon of this process hands over all that it remembers, and not only its queue.
        queue=turns.queue if before is None else tuple,
        rules=rules,
        actuator=Actuation(owners),
        lease=lease,
        clock=ports.clock,
        watchdog=ports.watchdog,
        wake=wake,
        crash_record=ports.crash_record,
        observers=[
            part.observe
            for part in (chronicle, books, ledger, telemetry, recorder, turns)
            if part is not None
        ],
        log=log,
        state=None if before is None else before.known_state(loaded),
        started_utc_s=None if before is None else before.started_utc_s,
    )
    if before is not None:
        taken = _taken(loaded, ports.clock)
        chronicle.tell(taken)
        if telemetry is not None:
            telemetry.tell(taken)
    api = None
    if ports.rights is not None:
        view = DrView(events=events, links=links, ledger=ledger, evidence=ports.evidence)
        bench = Workbench(
            site=site, profiles=loaded.profiles, owners=owners, image=image, clock=ports.clock
        )
        api = LocalApi(
            facts=tick,
            desk=commands,
            clock=ports.clock,
            rights=ports.rights,
            version=version,
            mqtt=lambda: _mqtt_status(publisher),
            dr=events.view,
            alarms=other_alarms,
            config=lambda: None if reloader is None else reloader.status(),
            looks={
                "dr": view.look,
                "events": chronicle.look,
                "devices": bench.look_at_devices,
                "read": bench.read,
                **({} if books is None else {"report": books.archive.answer}),
            },
            acts={
                "write": bench.write,
                **({} if reloader is None else {"reload": reloader.act}),
            },
        )
    return Daemon(
        tick=tick,
        tells_safe_decision=rules.s18_safe_stop,
        owners=owners,
        desks=(audit, events, links, commands, ledger, turns),
        books=books,
        telemetry=telemetry,
        publisher=publisher,
        recorder=recorder,
        api=api,
        local_server=ports.local_server,
        clock=ports.clock,
        watchdog=ports.watchdog,
        safe_stop_s={
            link: SAFE_STOP_S + proof.write_all_s for link, proof in loaded.proof.links.items()
        },
        log=log,
        reloader=reloader,
        chronicle=chronicle,
    )


def _taken(loaded: LoadedSite, clock: Clock) -> Event:
    return Event(
        code=EventCode.SITE_FILE_TAKEN,
        severity=Severity.INFO,
        id=loaded.site.id,
        t=rfc3339(clock.now().utc_s),
        text="a changed site file is in force",
        data={"config_hash": loaded.config_hash},
    )


def _lead_s(leads: Leads, plan: EventPlan, element: Element) -> float:
    mandatory = plan.program.mandatory
    if element.node is not None:
        return leads.of_node(element.node, mandatory=mandatory)
    return 0.0 if element.evse is None else leads.of_evse(element.evse, mandatory=mandatory)


def _connection(mqtt: MqttSettings | None) -> Connection:
    if mqtt is None:
        return Connection.OTHER
    if mqtt.ca is not None and mqtt.cert is not None:
        return Connection.MTLS
    if mqtt.ca is None and all(broker.loopback for broker in mqtt.brokers):
        return Connection.LOOPBACK
    return Connection.OTHER


def _mqtt_status(publisher: Publisher | None) -> MqttStatus | None:
    if publisher is None:
        return None
    status = publisher.status
    return MqttStatus(
        connected=status.connected,
        backlog=status.backlog,
        aside=status.aside or None,
        refused=list(status.denied) or None,
        broker=status.broker,
        last_error=status.last_error,
    )
