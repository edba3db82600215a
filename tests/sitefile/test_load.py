"""A good site file becomes the site that it describes."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from edgectl.contract.vocabulary import Quantity
from edgectl.errors import BadInput, Finding
from edgectl.model.serial_line import Parity, SerialLine
from edgectl.model.settings import (
    SAMPLING,
    BrokerAddress,
    CommandSettings,
    ExclusionCause,
    MqttProtocol,
    MqttSettings,
    Opening,
    Settings,
    TelemetrySettings,
    Unsigned,
)
from edgectl.model.site import (
    Cap,
    KeepAlive,
    Link,
    LinkKind,
    LinkLoss,
    Meter,
    Mode,
    Node,
    Program,
    nominal_voltages,
)
from edgectl.sitefile.entries.region import SampledQuantity
from edgectl.sitefile.load import LoadedSite, load_site
from edgectl.units import NodeId
from tests.sitefile.sites import (
    CONFIG,
    GOOD,
    PROFILES,
    findings_in,
    load_text,
    marks,
    spoil,
)

SKELETON = """\
site: {id: depot-north, region: bay, timezone: America/Los_Angeles, voltage_v: 230, mode: control}
nodes:
  - {id: grid, limit_a: [400, 400, 400], base_max_a: [100, 100, 100], margin_a: 8, trip_s: 30}
  - {id: tx1, parent: grid, limit_va: 150000, base_max_a: [20, 20, 20]}
links:
  - {id: lan1, kind: tcp, host: 10.0.0.21, port: 502}
  - {id: bus1, kind: rtu, device: /dev/ttyUSB0, baud: 19200, parity: E}
meters:
  - {id: m-grid, node: grid, profile: janitza-umg96rm, link: bus1, unit: 1, sees: all, poll_s: 0.5,
     phases: [1, 2, 3]}
evses:
  - {id: bay01, node: tx1, profile: phoenix-charx-sec, link: lan1, unit: 255, connector: 1,
     phases: [1, 2, 3], connection: line_to_neutral, max_a: 32, failsafe_a: 6, boot_a: 32,
     weight: 1, tier: 0}
groups: {bays-east: [bay01]}
caps:
  - {node: grid, kw: 120, from: "16:00", to: "21:00", days: [mon, tue, wed, thu, fri]}
programs:
  - {id: prog-1, kind: mandatory, signed: false, default_unit: KW, reference_kw: 150,
     minimum_kw: 12.6, below_minimum: obey,
     simple_levels: {1: 70%, 2: 40%, 3: 0%},
     alerts: {ALERT_GRID_EMERGENCY: 0%, ALERT_BLACK_START: 0%},
     on_link_loss: {after_s: 120, limit_kw: 50, for_s: 7200}}
policy: {name: fair}
mqtt: {brokers: [{host: broker.region.example, port: 8883}], protocol: 5, ca: ca.pem, cert: gw.pem,
       key: gw.key}
commands:
  unsigned: never
  issuers: [{id: utility-x, rank: utility_mandatory, may: [limit, pause], nodes: [grid],
             min_limit_a: 0, keys: [utility-x.jwk]}]
accept_risks: []
"""


def warned(loaded: LoadedSite) -> tuple[Finding, ...]:
    """The warnings but those of files: a text that was never written has none beside it."""
    return tuple(warning for warning in loaded.warnings if warning.code != "no_file")


def test_site_is_what_the_file_says() -> None:
    site = load_text(GOOD).site
    assert (site.id, site.region, site.timezone) == ("s1", "r1", "Europe/Berlin")
    assert (site.voltage_v, site.mode) == (230.0, Mode.CONTROL)
    assert site.nodes == (
        Node(
            id=site.nodes[0].id,
            parent=None,
            limit_a=(100.0, 100.0, 100.0),
            base_max_a=(20.0, 20.0, 20.0),
            margin_a=2.0,
            trip_s=30.0,
        ),
        Node(id=site.nodes[1].id, parent=site.nodes[0].id, limit_va=40000.0),
    )
    assert site.links[1] == Link(id=site.links[1].id, kind=LinkKind.TCP, host="10.0.0.22", port=502)
    meter = site.meters[0]
    assert meter == Meter(
        id=meter.id,
        node=site.nodes[0].id,
        profile="janitza-umg96rm",
        link=site.links[0].id,
        unit=1,
        poll_s=0.5,
        refresh_s=meter.refresh_s,
    )
    assert [evse.id for evse in site.evses] == ["e1", "e2", "e3"]
    assert [evse.phases for evse in site.evses] == [(1, 2, 3), (2, 3, 1), (3,)]
    assert [evse.connector for evse in site.evses] == [1, 2, 1]
    assert site.groups == {"all-bays": ("e1", "e2", "e3")}
    assert site.caps == (
        Cap(
            node=site.nodes[0].id,
            limit_w=20_000.0,
            from_minute=960,
            to_minute=1260,
            days=frozenset({0, 4}),
        ),
    )
    assert site.programs == (
        Program(
            id=site.programs[0].id,
            mandatory=True,
            default_unit="KW",
            reference_w=60_000.0,
            minimum_w=4_000.0,
            recover_within_s=60.0,
        ),
    )


def test_an_unbalance_limit_is_the_nodes() -> None:
    site = load_text(GOOD.replace("margin_a: 2,", "margin_a: 2, unbalance_a: 20,")).site
    assert [node.unbalance_a for node in site.nodes] == [20.0, None]


def test_traits_come_from_profile_and_entry() -> None:
    site = load_text(spoil("failsafe_a: 0", "failsafe_a: 0, watchdog_s: 20, poll_s: 4")).site
    charx, _, keba = site.evses
    assert (charx.traits.failsafe_a, charx.traits.boot_a) == (6.0, 6.0)
    assert charx.traits.keepalive is KeepAlive.REWRITE
    assert (keba.traits.failsafe_a, keba.traits.watchdog_s, keba.traits.poll_s) == (0.0, 20.0, 4.0)
    assert keba.max_a == 16.0


def test_an_evse_may_take_fewer_currents_than_its_profile() -> None:
    traits = load_text(spoil("max_a: 16", "max_a: 16, allowed_a: [0, 8, 16]")).site.evses[2].traits
    assert (traits.allowed_a, traits.min_a, traits.pause_a) == ((8.0, 16.0), 8.0, 0.0)


def test_unknown_boot_current_is_the_hardware_maximum() -> None:
    site = load_text(spoil("max_a: 16, failsafe_a: 0, boot_a: 6", "max_a: 16")).site
    keba = site.evses[2].traits
    assert keba.boot_a == keba.hardware_max_a


def test_parents_come_before_children() -> None:
    text = GOOD.replace(
        "  - {id: panel, parent: grid, limit_va: 40000, base_max_a: [0, 0, 0]}\n", ""
    ).replace(
        "nodes:\n",
        "nodes:\n  - {id: sub, parent: panel, limit_va: 1000}\n"
        "  - {id: panel, parent: grid, limit_va: 40000}\n",
    )
    assert [node.id for node in load_text(text).site.nodes] == ["grid", "panel", "sub"]


def test_overrides_reach_the_devices() -> None:
    text = spoil(
        "poll_s: 0.5",
        "overrides: {sign: -1, address_offset: -1, word_order: low}, phases: [2, 3, 1]",
    ).replace("max_a: 16", "max_a: 16, overrides: {address_offset: 1}")
    site = load_text(text).site
    meter = site.meters[0]
    assert (meter.sign, meter.address_offset, meter.word_order) == (-1, -1, "low")
    assert (meter.phases, meter.poll_s) == ((2, 3, 1), 1.0)
    assert site.evses[2].address_offset == 1


def test_settings(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(GOOD + "accept_risks: [power-returns/grid]\n")
    assert load_site(path, profile_dirs=[PROFILES]).settings == Settings(
        mqtt=MqttSettings(
            brokers=(BrokerAddress(host="broker.example", port=8883),),
            protocol=MqttProtocol.V5,
            ca=str(tmp_path / "ca.pem"),
            cert=str(tmp_path / "gw.pem"),
            key=str(tmp_path / "gw.key"),
        ),
        commands=CommandSettings(unsigned=Unsigned.MTLS),
        accept_risks=frozenset({"power-returns/grid"}),
    )


def test_old_protocol_and_absolute_paths() -> None:
    mqtt = load_text(spoil("ca: ca.pem", "protocol: 3.1.1, ca: /etc/ssl/ca.pem")).settings.mqtt
    assert mqtt is not None
    assert (mqtt.protocol, mqtt.ca) == (MqttProtocol.V311, "/etc/ssl/ca.pem")


def test_site_without_broker() -> None:
    text = GOOD[: GOOD.index("mqtt:")]
    assert load_text(text).settings == Settings()


def test_hash_changes_with_the_file_and_with_a_profile(tmp_path: Path) -> None:
    own = tmp_path / "profiles"
    own.mkdir()
    site = tmp_path / "site.yaml"
    site.write_text(GOOD)
    first = load_site(site, profile_dirs=[own, PROFILES]).config_hash
    assert load_site(site, profile_dirs=[PROFILES]).config_hash != ""
    assert load_site(site, profile_dirs=[own, PROFILES]).config_hash == first
    text = (PROFILES / "keba-p40.yaml").read_text()
    (own / "keba-p40.yaml").write_text(text.replace("poll_s: 3.0", "poll_s: 4.0"))
    changed = load_site(site, profile_dirs=[own, PROFILES])
    assert changed.config_hash != first
    assert changed.profiles["keba-p40"].transport.poll_s == 4.0
    site.write_text(GOOD + "# a remark\n")
    assert load_site(site, profile_dirs=[PROFILES]).config_hash != first


def test_a_watchdog_takes_three_polls_and_no_less_where_only_they_feed_it() -> None:
    known = spoil("failsafe_a: 0", "failsafe_a: 0, watchdog_s: 20, poll_s: 6.6")
    assert load_text(known).site.evses[2].traits.poll_s == 6.6
    slow = "failsafe_a: 6, boot_a: 6, poll_s: 25, watchdog_s: 20"
    rewritten = GOOD.replace("failsafe_a: 6, boot_a: 6", slow)
    assert load_text(rewritten).site.evses[0].traits.poll_s == 25.0


def test_hash_is_the_same_wherever_a_profile_lies(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(GOOD)
    shutil.copytree(PROFILES, tmp_path / "elsewhere")
    there = load_site(site, profile_dirs=[tmp_path / "elsewhere"])
    assert there.profiles["keba-p40"].file.startswith(str(tmp_path))
    assert there.config_hash == load_site(site, profile_dirs=[PROFILES]).config_hash


def test_fault_in_a_profile_is_named_with_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "keba-p40.yaml").write_text("profile: keba-p40\nkind: charger\n")
    (tmp_path / "other.yaml").write_text("not used: [")
    site = tmp_path / "site.yaml"
    site.write_text(GOOD)
    with pytest.raises(BadInput) as caught:
        load_site(site, profile_dirs=[tmp_path, PROFILES])
    assert {finding.file for finding in caught.value.findings} == {str(tmp_path / "keba-p40.yaml")}


@pytest.mark.parametrize("name", ["small-depot.yaml", "demo-depot.yaml"])
def test_shipped_examples_are_safe_to_use(name: str) -> None:
    loaded = load_site(CONFIG / name, profile_dirs=[PROFILES])
    assert loaded.proof.risks == ()
    assert len(loaded.proof.nodes) == len(loaded.site.nodes)


def test_bus_depot_is_what_it_says_and_leaves_no_risk_open() -> None:
    loaded = load_site(CONFIG / "bus-depot.yaml", profile_dirs=[PROFILES])
    site = loaded.site
    assert warned(loaded) == ()
    assert loaded.open_risks() == ()
    # Only DC chargers, whose boot current nobody documents, need an accepted risk.
    assert {risk.name.split("/")[0] for risk in loaded.proof.risks} == {"power-returns"}
    assert loaded.settings.accept_risks == {risk.name for risk in loaded.proof.risks}
    assert (len(site.evses), len(site.meters)) == (40, 7)
    assert sum(node.id.startswith("tx") for node in site.nodes) == 2
    assert sum(node.id.startswith("feeder") for node in site.nodes) == 4
    assert {link.kind for link in site.links} == set(LinkKind)
    in_watts = [e for e in site.evses if loaded.profiles[e.profile].charging().told_in_watts]
    assert len(in_watts) == 14
    for evse in site.evses:
        assert evse.traits.watchdog_s == 30.0


def test_small_example_is_what_a_newcomer_needs() -> None:
    site = load_site(CONFIG / "small-depot.yaml", profile_dirs=[PROFILES]).site
    assert (len(site.evses), len(site.meters), len(site.nodes)) == (6, 1, 1)
    assert {evse.profile for evse in site.evses} == {
        "phoenix-charx-sec",
        "keba-p40",
        "webasto-next",
    }


def test_demo_example_is_too_small_for_all() -> None:
    site = load_site(CONFIG / "demo-depot.yaml", profile_dirs=[PROFILES]).site
    root, *feeders = site.nodes
    assert len(site.evses) >= 12
    assert {meter.node for meter in site.meters} == {node.id for node in site.nodes}
    assert {node.parent for node in feeders} == {root.id}
    limit_a = root.limit_a[0]
    assert limit_a is not None
    assert sum(evse.max_a for evse in site.evses) > 2 * limit_a
    assert all(link.host == "127.0.0.1" for link in site.links)
    assert all(evse.traits.watchdog_s == 20.0 for evse in site.evses)
    assert [program.mandatory for program in site.programs] == [True]


def test_skeleton_of_the_contract_names_what_is_not_there() -> None:
    assert marks(findings_in(SKELETON)) == [
        (30, "commands.issuers[0].keys[0]", "bad_key"),
    ]


def test_skeleton_of_the_contract_without_those() -> None:
    text = SKELETON
    start, end = text.index("\n  issuers"), text.index("\naccept_risks")
    loaded = load_text(text[:start] + text[end:])
    assert loaded.proof.risks == ()
    assert loaded.site.nodes[1].limit_va == 150_000.0
    assert loaded.site.links[1] == Link(
        id=loaded.site.links[1].id,
        kind=LinkKind.RTU,
        device="/dev/ttyUSB0",
        serial=SerialLine(baud=19_200, parity=Parity.EVEN, stop_bits=1),
    )
    program = loaded.site.programs[0]
    assert program.simple_levels == (0.7, 0.4, 0.0)
    assert program.alerts == {"ALERT_GRID_EMERGENCY": 0.0, "ALERT_BLACK_START": 0.0}
    assert program.link_loss == LinkLoss(after_s=120.0, limit_w=50_000.0, for_s=7200.0)


@pytest.mark.parametrize(
    ("old", "new", "line", "code"),
    [
        ("unsigned: mtls", "unsigned: loopback", 24, "unsigned_loopback"),
        ("unsigned: mtls", "unsigned: never", 24, "no_commands"),
        ("limit_va: 40000, ", "", 4, "no_limit"),
        (", base_max_a: [20, 20, 20]", "", 3, "no_base_max"),
        ("caps:", "accept_risks: [power-returns/gird]\ncaps:", 19, "no_such_risk"),
        ("  - {id: lan3,", "  - {id: lan4, kind: tcp, host: h}\n  - {id: lan3,", 8, "unused_link"),
        ("max_a: 16", "weight: 2, max_a: 16", 16, "no_effect"),
    ],
)
def test_warnings(old: str, new: str, line: int, code: str) -> None:
    warnings = warned(load_text(spoil(old, new)))
    assert (line, code) in [(warning.line, warning.code) for warning in warnings]
    assert all(warning.remedy for warning in warnings)


def test_serial_lines_are_what_the_standard_says_where_the_file_says_nothing() -> None:
    plain = spoil("kind: tcp, host: 10.0.0.21, port: 502", "kind: rtu, device: /dev/ttyS0")
    assert load_text(plain).site.links[0].serial == SerialLine(
        baud=19_200, parity=Parity.EVEN, stop_bits=1
    )
    behind = spoil(
        "kind: tcp, host: 10.0.0.21, port: 502",
        "kind: rtu_over_tcp, host: h, port: 4001, baud: 9600, parity: N, stop_bits: 2",
    )
    link = load_text(behind).site.links[0]
    assert (link.host, link.port, link.device) == ("h", 4001, "")
    assert link.serial == SerialLine(baud=9600, parity=Parity.NONE, stop_bits=2)


def test_a_line_that_polling_fills_is_warned_of() -> None:
    slow = spoil(
        "kind: tcp, host: 10.0.0.21, port: 502",
        "kind: rtu, device: /dev/ttyS0, baud: 1200, parity: N",
    )
    loaded = load_text(slow)
    (warning,) = [one for one in loaded.warnings if one.code == "busy_line"]
    assert warning.line == 6
    assert "poll intervals cannot be kept" in warning.message
    assert "polling takes 138%" in warning.message
    assert "1200 baud 8N1" in warning.message
    # Each half second 28 registers: 8 + 61 characters of 10 bits, 7 of silence, 0.05 s to answer;
    # each half minute 10: 8 + 25 characters. A reading may come late by one of each (S20).
    one_pass_s = 76 * 10 / 1200 + 0.05 + 40 * 10 / 1200 + 0.05
    reaction = loaded.proof.nodes[NodeId("grid")].reaction
    assert reaction is not None
    assert reaction.poll_s == pytest.approx(0.5 + one_pass_s)


def test_a_line_with_room_brings_readings_in_time() -> None:
    fits = spoil(
        "kind: tcp, host: 10.0.0.21, port: 502",
        "kind: rtu, device: /dev/ttyS0, baud: 9600, parity: N",
    )
    reaction = load_text(fits).proof.nodes[NodeId("grid")].reaction
    assert reaction is not None
    assert reaction.poll_s == 0.5


def test_a_device_on_the_network_that_is_asked_faster_than_it_lets_is_warned_of() -> None:
    assert "busy_link" not in [one.code for one in load_text(GOOD).warnings]
    # KEBA wants one request a value and 0.5 s after each: five of 0.52 s a second are 260 %, and
    # there is what is asked seldom and what feeds its watchdog.
    hasty = load_text(spoil("max_a: 16, failsafe_a: 0,", "max_a: 16, failsafe_a: 0, poll_s: 1,"))
    (warning,) = [one for one in hasty.warnings if one.code == "busy_link"]
    assert warning.path == "links[2]"
    assert "267% of the link's time" in warning.message
    assert "poll intervals cannot be kept" in warning.message


def test_a_charger_in_watts_needs_a_voltage_and_a_word_about_its_failsafe() -> None:
    watts = GOOD.replace(
        "{id: e3, node: grid, profile: keba-p40, link: lan3, unit: 255,\n"
        "     phases: [3], max_a: 16, failsafe_a: 0, boot_a: 6}",
        "{id: e3, node: grid, profile: alpitronic-hyc, link: lan3, unit: 1,\n"
        "     phases: [1, 2, 3], max_a: 60}",
    )
    loaded = load_text(watts.replace("caps:", "accept_risks: [gateways-dead/grid]\ncaps:"))
    assert "no_failsafe" in [one.code for one in loaded.warnings]
    assert "no_voltage" not in [one.code for one in loaded.warnings]
    traits = loaded.site.evses[2].traits
    assert (traits.failsafe_a, traits.watchdog_s, traits.metered) == (60.0, 5.0, True)
    start, end = watts.index("meters:"), watts.index("evses:")
    said = watts[:start] + watts[end:].replace(
        "max_a: 60", "max_a: 60, failsafe_a: 20, watchdog_s: 9"
    )
    loaded = load_text(said)
    assert "no_voltage" in [one.code for one in loaded.warnings]
    assert "no_failsafe" not in [one.code for one in loaded.warnings]
    traits = loaded.site.evses[2].traits
    assert (traits.failsafe_a, traits.watchdog_s) == (20.0, 9.0)
    half = watts.replace("max_a: 60", "max_a: 60, failsafe_a: 20")
    assert (17, "evses[2].failsafe_a", "not_offered") in marks(findings_in(half))


def test_s20_counts_a_serial_line_at_its_own_speed() -> None:
    tcp = load_text(GOOD)
    serial = load_text(
        GOOD.replace(
            "kind: tcp, host: 10.0.0.22", "kind: rtu, device: /dev/ttyS0, baud: 1200"
        ).replace("link: lan2, unit: 255", "link: lan2, unit: 5")
    )
    panel = tcp.site.nodes[1].id
    before, after = (loaded.proof.nodes[panel].reaction for loaded in (tcp, serial))
    assert before is not None
    assert after is not None
    before_s, after_s = (one.total_s - one.poll_s for one in (before, after))
    # Two writes by function 6: 8 + 8 characters and two gaps at 11 bits, 50 ms to answer, in place
    # of 0.1 s each; a second timeout of silence, and the longest read that is waited for.
    character_s = 11 / 1200
    write_s = (8 + 8 + 7) * character_s + 0.05
    longest_s = (8 + 255 + 7) * character_s
    assert after_s - before_s == pytest.approx(2 * (write_s - 0.1) + 1.0 + longest_s)


def test_good_file_has_no_warnings() -> None:
    assert warned(load_text(GOOD)) == ()


def test_site_without_meter_is_warned_of() -> None:
    start, end = GOOD.index("meters:"), GOOD.index("evses:")
    text = GOOD[:start] + GOOD[end:]
    codes = [warning.code for warning in warned(load_text(text))]
    assert codes == ["no_meter", "unused_link"]


def test_charger_without_watchdog_is_named_with_its_nodes(tmp_path: Path) -> None:
    text = (PROFILES / "keba-p40.yaml").read_text()
    start, end = text.index("failsafe:\n"), text.index("keepalive:")
    text = text[:start] + "failsafe: none\n" + text[end:]
    keepalive = text[text.index("keepalive:") :].split("\n")[0]
    (tmp_path / "keba-p40.yaml").write_text(text.replace(keepalive, "keepalive: {kind: none}"))
    site = tmp_path / "site.yaml"
    site.write_text(GOOD.replace("failsafe_a: 0, boot_a: 6", "boot_a: 6"))
    loaded = load_site(site, profile_dirs=[tmp_path, PROFILES])
    assert [(warning.line, warning.code) for warning in warned(loaded)] == [(16, "no_watchdog")]
    assert "e3" in warned(loaded)[0].message
    assert warned(loaded)[0].message.endswith("hardware maximum at grid")
    assert loaded.proof.nodes[loaded.site.nodes[0].id].failsafe_a == (12.0, 12.0, 28.0)


def test_what_goes_to_the_region_has_defaults_and_is_set_quantity_by_quantity() -> None:
    assert load_text(GOOD).settings.telemetry == TelemetrySettings()
    more = """
telemetry:
  disk_mb: 64
  backfill_rows_per_s: 5
  at_least_s: 3600
  quantities:
    current_a: {every_s: 30}
    power_w: {dead_band: null, on_change: true}
    voltage_v: {publish: false}
"""
    telemetry = load_text(GOOD + more).settings.telemetry
    assert (telemetry.disk_bytes, telemetry.backfill_rows_per_s) == (64_000_000, 5.0)
    assert telemetry.at_least_s == 3600.0
    usual = SAMPLING["current_a"]
    assert telemetry.of("current_a.2") == replace(usual, every_s=30.0)
    assert telemetry.of("power_w") == replace(SAMPLING["power_w"], dead_band=None, on_change=True)
    assert not telemetry.of("voltage_v.1").publish
    assert telemetry.of("base_a.3") == SAMPLING["base_a"]


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("quantities: {amps: {every_s: 5}}", "telemetry.quantities.amps"),
        ("quantities: {current_a: {every_s: 0}}", "telemetry.quantities.current_a.every_s"),
        ("quantities: {current_a: {dead_band: -1}}", "telemetry.quantities.current_a.dead_band"),
        ("disk_mb: 1", "telemetry.disk_mb"),
        ("backfill_rows_per_s: 0", "telemetry.backfill_rows_per_s"),
    ],
)
def test_what_the_region_cannot_be_sent_is_named(line: str, path: str) -> None:
    with pytest.raises(BadInput) as bad:
        load_text(f"{GOOD}telemetry:\n  {line}\n")
    assert path in {finding.path for finding in bad.value.findings}


def test_every_quantity_that_is_sent_can_be_set() -> None:
    named = {quantity.value.partition(".")[0] for quantity in Quantity}
    assert set(get_args(SampledQuantity)) == set(SAMPLING) == named


def test_availability_is_told_opening_hours_and_exclusions() -> None:
    more = """
indicators:
  opening_hours: [{from: "05:00", to: "23:00", days: [mon]}]
  exclusions:
    - {evses: [all-bays, e1], from: "2026-03-01T07:00:00+01:00", until: "2026-03-01T08:00:00Z",
       cause: vandalism, evidence: police report 7}
    - {from: "2026-03-02T00:00:00Z", until: "2026-03-03T00:00:00Z", cause: natural_disaster,
       evidence: flood}
"""
    indicators = load_text(GOOD + more).settings.indicators
    assert indicators.opening == (Opening(frozenset({0}), 300, 1380),)
    first, second = indicators.exclusions
    assert first.ports == {"e1", "e2", "e3"}
    assert second.ports == frozenset()
    assert (first.cause, first.evidence) == (ExclusionCause.VANDALISM, "police report 7")
    assert first.until_s - first.from_s == 7200.0


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ('evses: [e9], from: "2026-03-01T06:00:00Z", until: "2026-03-01T07:00:00Z"', "evses[0]"),
        ('from: "2026-03-01T06:00:00Z", until: "2026-03-01T05:00:00Z"', "until"),
        ('from: "2026-03-01T06:00:00", until: "2026-03-01T07:00:00Z"', "from"),
        ('from: "yesterday", until: "2026-03-01T07:00:00Z"', "from"),
    ],
)
def test_an_exclusion_that_excludes_nothing_is_named(entry: str, path: str) -> None:
    text = f"{GOOD}indicators:\n  exclusions:\n    - {{{entry}, cause: vehicle, evidence: x}}\n"
    with pytest.raises(BadInput) as bad:
        load_text(text)
    assert f"indicators.exclusions[0].{path}" in {one.path for one in bad.value.findings}


def test_a_panel_beside_a_transformer_has_the_voltage_of_what_feeds_it() -> None:
    """A service of 277/480 V with a panel, and a transformer to 120/208 V with another below."""
    nodes = """
  - {id: grid, limit_a: [400, 400, 400]}
  - {id: p480, parent: grid, limit_va: 100000}
  - {id: sub480, parent: p480}
  - {id: t1, parent: p480, transformer: {winding: delta-wye, turns_ratio: 4.0}}
  - {id: p208, parent: t1, limit_a: [80, 80, 80]}
"""
    start, end = GOOD.index("nodes:"), GOOD.index("links:")
    text = f"{GOOD[:start]}nodes:{nodes}{GOOD[end:]}".replace("voltage_v: 230", "voltage_v: 120")
    evses = text.index("meters:")
    text = (
        text[:evses]
        + """evses:
  - {id: low, node: p208, profile: keba-p40, link: lan3, unit: 255, phases: [1], max_a: 16}
  - {id: high, node: sub480, profile: alpitronic-hyc, link: lan2, unit: 1, phases: [1, 2, 3],
     max_a: 60, failsafe_a: 20, watchdog_s: 9}
accept_risks: [power-returns/grid, gateways-dead/grid]
"""
    )
    site = load_text(text).site
    volts = 4.0 * 120.0 / 3.0**0.5
    assert nominal_voltages(site.nodes, site.voltage_v) == pytest.approx(
        {"grid": volts, "p480": volts, "sub480": volts, "t1": 120.0, "p208": 120.0}
    )
