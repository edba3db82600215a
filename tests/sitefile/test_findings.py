"""Every kind of fault in a site file is named, with its line and path, and alone."""

import pytest

from tests.sitefile.sites import GOOD, findings_in, marks, spoil

CASES = {
    # name: (text in the good file, what stands there instead, line, path, code)
    "meter of two nodes": (
        "{id: m1, node: grid",
        "{id: m1, node: [grid, panel]",
        10,
        "meters[0].node",
        "several_nodes",
    ),
    "one meter, two kinds": (
        "poll_s: 0.5}",
        "poll_s: 0.5}\n  - {id: m2, node: panel, profile: janitza-umg96rm, link: lan1, unit: 1}",
        11,
        "meters[1]",
        "same_meter",
    ),
    "unknown key": ("margin_a: 2", "marign_a: 2", 3, "nodes[0].marign_a", "unknown_key"),
    "unknown section": ("groups:", "gruops:", 18, "gruops", "unknown_key"),
    "missing key": ("voltage_v: 230, ", "", 1, "site.voltage_v", "missing"),
    "missing section": (GOOD[: GOOD.index("nodes:")], "", 1, "site", "missing"),
    "text for a number": ("max_a: 16", 'max_a: "16"', 17, "evses[2].max_a", "wrong_type"),
    "one value for three": (
        "[100, 100, 100]",
        "[100]",
        3,
        "nodes[0].limit_a",
        "wrong_length",
    ),
    "not finite": ("[100, 100, 100]", "[.nan, 1, 1]", 3, "nodes[0].limit_a[0]", "not_finite"),
    "infinite": ("[100, 100, 100]", "[.inf, 1, 1]", 3, "nodes[0].limit_a[0]", "not_finite"),
    "negative": ("[20, 20, 20]", "[20, -1, 20]", 3, "nodes[0].base_max_a[1]", "out_of_range"),
    "margin eats the limit": (
        "margin_a: 2",
        "margin_a: 100",
        3,
        "nodes[0].margin_a",
        "out_of_range",
    ),
    "unknown mode": ("mode: control", "mode: auto", 1, "site.mode", "not_allowed"),
    "unknown time zone": (
        "Europe/Berlin",
        "Europe/Berln",
        1,
        "site.timezone",
        "unknown_timezone",
    ),
    "unknown parent": ("parent: grid", "parent: gird", 4, "nodes[1].parent", "unknown_id"),
    "unknown node of a meter": (
        "{id: m1, node: grid",
        "{id: m1, node: gridd",
        10,
        "meters[0].node",
        "unknown_id",
    ),
    "unknown link": ("link: lan1", "link: lan9", 10, "meters[0].link", "unknown_id"),
    "unknown node of a cap": ("{node: grid, kw", "{node: tx, kw", 20, "caps[0].node", "unknown_id"),
    "unknown member": ("[e1, e2, e3]", "[e1, e9]", 18, "groups.all-bays[1]", "unknown_id"),
    "name of a group taken": ("all-bays:", "grid:", 18, "groups.grid", "duplicate_id"),
    "same address of links": ("10.0.0.23", "10.0.0.22", 8, "links[2]", "duplicate_link"),
    "host as URL": ("10.0.0.23", "http://10.0.0.23", 8, "links[2].host", "bad_text"),
    "link without host": (", host: 10.0.0.22", "", 7, "links[1]", "missing"),
    "serial key on tcp": (
        "host: 10.0.0.22",
        "host: 10.0.0.22, baud: 9600",
        7,
        "links[1].baud",
        "not_of_kind",
    ),
    "port out of range": ("port: 502", "port: 70000", 6, "links[0].port", "out_of_range"),
    "second root": (", parent: grid", "", 4, "nodes[1]", "several_roots"),
    "profile unknown": ("keba-p40", "keba-p4", 16, "evses[2].profile", "unknown_profile"),
    "meter's profile on an EVSE": (
        "keba-p40",
        "janitza-umg96rm",
        16,
        "evses[2].profile",
        "wrong_profile",
    ),
    "charger's profile on a meter": (
        "janitza-umg96rm",
        "keba-p40",
        10,
        "meters[0].profile",
        "wrong_profile",
    ),
    "connector not offered": (
        "unit: 255,\n     phases: [3]",
        "unit: 255, connector: 2,\n     phases: [3]",
        16,
        "evses[2].connector",
        "not_offered",
    ),
    "failsafe not offered": (
        "failsafe_a: 0",
        "failsafe_a: 3",
        17,
        "evses[2].failsafe_a",
        "not_offered",
    ),
    "watchdog not offered": (
        "failsafe_a: 0",
        "watchdog_s: 1",
        17,
        "evses[2].watchdog_s",
        "not_offered",
    ),
    "current not offered": (
        "max_a: 16",
        "max_a: 16, allowed_a: [8, 16, 24]",
        17,
        "evses[2].allowed_a",
        "not_offered",
    ),
    "current between steps": (
        "max_a: 16",
        "max_a: 16, allowed_a: [8.05, 16]",
        17,
        "evses[2].allowed_a",
        "not_offered",
    ),
    "currents that fall": (
        "max_a: 16",
        "max_a: 16, allowed_a: [16, 8]",
        17,
        "evses[2].allowed_a",
        "not_offered",
    ),
    "no current but the pause": (
        "max_a: 16",
        "max_a: 16, allowed_a: [0]",
        17,
        "evses[2].allowed_a",
        "not_offered",
    ),
    "maximum not offered": ("max_a: 16", "max_a: 63", 17, "evses[2].max_a", "not_offered"),
    "failsafe above maximum": (
        "failsafe_a: 0",
        "failsafe_a: 20",
        17,
        "evses[2].failsafe_a",
        "out_of_range",
    ),
    "same connector": ("connector: 2", "connector: 1", 14, "evses[1]", "address_taken"),
    "two profiles at one unit": ("link: lan3", "link: lan2", 16, "evses[2]", "address_taken"),
    "EVSE at a meter's unit": (
        "link: lan3, unit: 255",
        "link: lan1, unit: 1",
        16,
        "evses[2]",
        "address_taken",
    ),
    "phase twice": (
        "phases: [2, 3, 1]",
        "phases: [2, 2, 1]",
        15,
        "evses[1].phases",
        "duplicate_value",
    ),
    "phase 4": ("phases: [2, 3, 1]", "phases: [2, 3, 4]", 15, "evses[1].phases[2]", "out_of_range"),
    "no phase": ("phases: [2, 3, 1]", "phases: []", 15, "evses[1].phases", "wrong_length"),
    "phase without limit": (
        "[100, 100, 100]",
        "[100, 100, null]",
        17,
        "evses[2].phases",
        "unlimited_phase",
    ),
    "slow poll": ("poll_s: 0.5", "poll_s: 3.1", 10, "meters[0].poll_s", "poll_too_slow"),
    "polls too seldom for a watchdog": (
        "failsafe_a: 0, boot_a: 6",
        "failsafe_a: 0, boot_a: 6, watchdog_s: 20, poll_s: 6.7",
        17,
        "evses[2].poll_s",
        "poll_too_slow",
    ),
    "watchdog too short for the polls": (
        "failsafe_a: 0, boot_a: 6",
        "failsafe_a: 0, boot_a: 6, watchdog_s: 8",
        17,
        "evses[2].watchdog_s",
        "poll_too_slow",
    ),
    "meter misses a phase": ("poll_s: 0.5", "phases: [1]", 10, "meters[0].phases", "meter_phases"),
    "weight zero": ("max_a: 16", "max_a: 16, weight: 0", 17, "evses[2].weight", "out_of_range"),
    "tier negative": ("max_a: 16", "max_a: 16, tier: -1", 17, "evses[2].tier", "out_of_range"),
    "cap by night time": ('from: "16:00"', 'from: "25:00"', 20, "caps[0].from", "bad_text"),
    "cap from midnight's end": ('from: "16:00"', 'from: "24:00"', 20, "caps[0].from", "bad_time"),
    "cap of no length": ('from: "16:00"', 'from: "21:00"', 20, "caps[0].to", "bad_time"),
    "cap on a strange day": ("[mon, fri]", "[mon, freitag]", 20, "caps[0].days[1]", "not_allowed"),
    "cap negative": ("kw: 20", "kw: -20", 20, "caps[0].kw", "out_of_range"),
    "program of no kind": ("kind: mandatory", "kind: maybe", 22, "programs[0].kind", "not_allowed"),
    "unit unknown": (
        "default_unit: KW",
        "default_unit: MW",
        22,
        "programs[0].default_unit",
        "not_allowed",
    ),
    "percent of nothing": (
        "default_unit: KW, reference_kw: 60",
        "default_unit: PERCENT",
        22,
        "programs[0].default_unit",
        "missing",
    ),
    "minimum above reference": (
        "minimum_kw: 4",
        "minimum_kw: 61",
        22,
        "programs[0].minimum_kw",
        "out_of_range",
    ),
    "hold without minimum": (
        "minimum_kw: 4",
        "below_minimum: hold",
        22,
        "programs[0].below_minimum",
        "missing",
    ),
    "protocol unknown": (
        "ca: ca.pem",
        "protocol: 4, ca: ca.pem",
        23,
        "mqtt.protocol",
        "not_allowed",
    ),
    "no broker": ("[{host: broker.example, port: 8883}]", "[]", 23, "mqtt.brokers", "wrong_length"),
    "cert without key": (
        ", key: gw.key}\ncommands: {unsigned: mtls}",
        "}",
        23,
        "mqtt.cert",
        "missing",
    ),
    "plain connection": (
        ", ca: ca.pem, cert: gw.pem, key: gw.key}\ncommands: {unsigned: mtls}",
        "}",
        23,
        "mqtt.brokers[0]",
        "plain_refused",
    ),
    "password": (
        "ca: ca.pem",
        "password: hunter2, ca: ca.pem",
        23,
        "mqtt.password",
        "secret_inline",
    ),
    "password in the host": (
        "broker.example",
        '"u:hunter2@b"',
        23,
        "mqtt.brokers[0].host",
        "secret_inline",
    ),
    "key in the file": (
        "gw.key",
        '"-----BEGIN PRIVATE KEY----- hunter2"',
        23,
        "mqtt.key",
        "secret_inline",
    ),
    "key twice": ("link: lan3", "link: lan3, unit: 1", 16, "evses[2].unit", "duplicate_key"),
}

SERIAL = {
    "no device": ("kind: rtu", 7, "links[1]", "missing"),
    "device of no path": ("kind: rtu, device: ttyUSB0", 7, "links[1].device", "bad_text"),
    "host at a serial device": (
        "kind: rtu, device: /dev/ttyS0, host: 10.0.0.22",
        7,
        "links[1].host",
        "not_of_kind",
    ),
    "converter without port": ("kind: rtu_over_tcp, host: 10.0.0.22", 7, "links[1]", "missing"),
    "converter with a device": (
        "kind: rtu_over_tcp, host: 10.0.0.22, port: 4001, device: /dev/ttyS0",
        7,
        "links[1].device",
        "not_of_kind",
    ),
    "stop bits of a network": (
        "kind: tcp, host: 10.0.0.22, stop_bits: 2",
        7,
        "links[1].stop_bits",
        "not_of_kind",
    ),
    "same converter twice": (
        "kind: rtu_over_tcp, host: 10.0.0.21, port: 502",
        7,
        "links[1]",
        "duplicate_link",
    ),
    "unit of no serial line": (
        "kind: rtu, device: /dev/ttyS0",
        12,
        "evses[0].unit",
        "out_of_range",
    ),
}

WITH_CONSEQUENCES = {
    "mtls without files": (
        ", ca: ca.pem, cert: gw.pem, key: gw.key",
        "",
        24,
        "commands.unsigned",
        "missing",
    ),
    "number for a name": ("{id: lan3,", "{id: 3,", 8, "links[2].id", "wrong_type"),
    "bad name": ("{id: lan1,", "{id: 'a/b',", 6, "links[0].id", "bad_text"),
    "root without limit": ("limit_a: [100, 100, 100], ", "", 3, "nodes[0]", "missing"),
    "same name twice": ("{id: e2,", "{id: m1,", 14, "evses[1].id", "duplicate_id"),
    "same link name twice": ("{id: lan3,", "{id: lan2,", 8, "links[2].id", "duplicate_id"),
    "alias of nothing": ("link: lan3", "link: *x", 16, "evses[2].link", "bad_alias"),
}

NOT_SUPPORTED = {
    "unbalance beside line to line": (
        "margin_a: 2",
        "margin_a: 2, unbalance_a: 20, transformer: {winding: delta-wye, turns_ratio: 4.0}",
        3,
        "nodes[0].unbalance_a",
    ),
    "sign of an EVSE": (
        "max_a: 16",
        "max_a: 16, overrides: {sign: -1}",
        17,
        "evses[2].overrides.sign",
    ),
}


def test_good_file_has_no_findings() -> None:
    assert findings_in(GOOD) == ()


@pytest.mark.parametrize("case", CASES)
def test_fault_is_named_with_its_line(case: str) -> None:
    old, new, line, path, code = CASES[case]
    found = findings_in(spoil(old, new))
    assert marks(found) == [(line, path, code)]
    assert found[0].message
    assert found[0].remedy
    assert found[0].file == "site.yaml"


@pytest.mark.parametrize("case", WITH_CONSEQUENCES)
def test_fault_is_named_beside_what_follows_from_it(case: str) -> None:
    old, new, line, path, code = WITH_CONSEQUENCES[case]
    assert (line, path, code) in marks(findings_in(spoil(old, new)))


@pytest.mark.parametrize("case", NOT_SUPPORTED)
def test_missing_feature_is_refused_by_name(case: str) -> None:
    old, new, line, path = NOT_SUPPORTED[case]
    assert marks(findings_in(spoil(old, new))) == [(line, path, "not_supported")]


@pytest.mark.parametrize("case", ["password", "password in the host", "key in the file"])
def test_secrets_are_not_repeated(case: str) -> None:
    old, new, *_ = CASES[case]
    assert "hunter2" not in "".join(str(finding) for finding in findings_in(spoil(old, new)))


@pytest.mark.parametrize(
    ("case", "meant"),
    [
        ("unknown key", "did you mean margin_a?"),
        ("unknown parent", "did you mean grid?"),
        ("profile unknown", "did you mean keba-p40?"),
        ("unknown time zone", "did you mean Europe/Berlin?"),
    ],
)
def test_near_misses_are_told(case: str, meant: str) -> None:
    old, new, *_ = CASES[case]
    assert meant in findings_in(spoil(old, new))[0].message


def test_circle_is_named_once_with_its_nodes() -> None:
    text = GOOD.replace("{id: grid,", "{id: grid, parent: panel,")
    found = findings_in(text)
    assert marks(found) == [(2, "nodes", "no_root"), (3, "nodes[0].parent", "cycle")]
    assert "grid <- panel <- grid" in found[-1].message


def test_two_meters_at_one_node() -> None:
    text = spoil(
        "poll_s: 0.5}",
        "poll_s: 0.5}\n  - {id: m2, node: grid, profile: janitza-umg96rm, link: lan1, unit: 2}",
    )
    assert marks(findings_in(text)) == [(11, "meters[1].node", "two_meters")]


def test_broken_entry_keeps_its_name() -> None:
    """A node with a fault is still there: nobody below it is told that it were missing."""
    text = GOOD.replace("[100, 100, 100]", "[100, 100]")
    assert marks(findings_in(text)) == [(3, "nodes[0].limit_a", "wrong_length")]


def test_levels_above_the_reference() -> None:
    text = spoil("minimum_kw: 4", "simple_levels: {1: 170%, 2: 40}")
    codes = marks(findings_in(text))
    assert (22, "programs[0].simple_levels[2]", "wrong_type") in codes
    text = spoil("minimum_kw: 4", "simple_levels: {1: 170%}")
    assert (22, "programs[0].simple_levels[1]", "out_of_range") in marks(findings_in(text))


@pytest.mark.parametrize(
    ("new", "path", "code"),
    [
        ("simple_levels: {1: 40%, 2: 70%}", "simple_levels[2]", "out_of_range"),
        ("when_missed: partial", "when_missed", "not_of_kind"),
        ("recover_within_s: -1", "recover_within_s", "out_of_range"),
        ("on_link_loss: {after_s: 0, limit_kw: 5, for_s: 60}", "on_link_loss.after_s", "*"),
    ],
)
def test_what_a_program_cannot_mean(new: str, path: str, code: str) -> None:
    found = marks(findings_in(spoil("minimum_kw: 4", new)))
    assert (22, f"programs[0].{path}") in [(line, at) for line, at, _ in found]
    assert code == "*" or (22, f"programs[0].{path}", code) in found


def test_all_faults_at_once_in_the_order_of_lines() -> None:
    text = (
        GOOD.replace("mode: control", "mode: auto")
        .replace("link: lan1", "link: lan9")
        .replace("profile: keba-p40", "profile: keba")
        .replace("kw: 20", "kw: -20")
        .replace("kind: mandatory", "kind: mandatory, below_minimum: hold, when_missed: accept")
    )
    found = findings_in(text)
    assert [finding.code for finding in found] == [
        "not_allowed",
        "unknown_id",
        "unknown_profile",
        "out_of_range",
        "not_of_kind",
    ]
    assert [finding.line for finding in found] == sorted(finding.line for finding in found)


@pytest.mark.parametrize("case", SERIAL)
def test_serial_links(case: str) -> None:
    new, line, path, code = SERIAL[case]
    assert (line, path, code) in marks(findings_in(spoil("kind: tcp, host: 10.0.0.22", new)))
