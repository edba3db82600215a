"""A profile file that is wrong: every finding with file, line, path and remedy, and no profile."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from edgectl.devices.profile import PointType, PollClass, Scope, Sure, WordOrder
from edgectl.errors import BadInput, Finding
from edgectl.model.site import KeepAlive
from edgectl.sitefile.profile_schema import profile_schema
from edgectl.sitefile.profiles import builtin_folder, load_profiles, profile_folders, read_profile
from tests.devices.builders import CHARX, EM24, KEBA, PROFILES

CHARGER = """\
profile: made-up
kind: charger
title: a charger
sure: B
source: a manual
word_order: high
transport: {timeout_s: 1, request_gap_s: 0, poll_s: 1, slow_poll_s: 30, reconnect_min_s: 1}
read: {max_registers: 20}
points:
  current_a.1: {kind: holding, address: 10, type: u32, scale: 0.001, unit: A, poll: fast}
  current_a.2: {kind: holding, address: 12, type: u32, scale: 0.001, unit: A, poll: fast}
  current_a.3: {kind: holding, address: 14, type: u32, scale: 0.001, unit: A, poll: fast}
  state: {kind: holding, address: 20, type: u16, codes: {0: idle, 1: busy}, poll: fast}
  limit_a: {kind: holding, address: 30, type: u16, unit: A, range: [0, 32], access: rw}
  failsafe_a: {kind: holding, address: 31, type: u16, unit: A, range: [0, 32], access: rw}
  watchdog_s: {kind: holding, address: 32, type: u16, unit: s, access: rw}
  alive: {kind: holding, address: 33, type: u16, access: w}
identify:
  - {point: state, at_most: 1, why: it is so, remedy: look}
setpoint: {point: limit_a, min_a: 6, max_a: 32, step_a: 1, pause_a: 0, function: 6, readback: none}
failsafe:
  current: {write: failsafe_a, read: failsafe_a, min_a: 6, max_a: 32, zero: true, default_a: 6}
  timeout: {write: watchdog_s, read: watchdog_s, min_s: 5, max_s: 600, default_s: 60}
  order: [failsafe_a, watchdog_s]
  function: 6
keepalive: {kind: rewrite}
boot_a: unknown
states:
  - {when: {state: busy}, is: charging}
"""


def findings(folder: Path, text: str) -> tuple[Finding, ...]:
    path = folder / "made-up.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        read_profile(path)
    assert all(finding.file == str(path) for finding in caught.value.findings)
    assert all(finding.remedy for finding in caught.value.findings)
    return caught.value.findings


def test_the_plain_charger_is_right(tmp_path: Path) -> None:
    path = tmp_path / "made-up.yaml"
    path.write_text(CHARGER, encoding="utf-8")
    profile = read_profile(path)
    assert profile.file == str(path)
    assert profile.charger is not None
    assert profile.charger.boot_a is None
    assert profile.charger.setpoint.readback is None
    assert profile.point("state").sure is Sure.B
    assert profile.point("state").source == "a manual"


WATTS = (
    CHARGER.replace(
        "limit_a: {kind: holding, address: 30, type: u16, unit: A, range: [0, 32], access: rw}",
        "limit_w: {kind: holding, address: 40, type: u32, unit: W, access: rw}\n"
        "  power_w: {kind: holding, address: 42, type: u32, unit: W, poll: fast}",
    )
    .replace("point: limit_a, min_a", "point: limit_w, min_a")
    .replace("pause_a: 0, function: 6", "pause_w: 500, function: 16")
    .replace("keepalive:", "mains: {power_factor: 0.98}\nkeepalive:")
)


def test_a_limit_in_watts_is_right(tmp_path: Path) -> None:
    path = tmp_path / "made-up.yaml"
    path.write_text(WATTS, encoding="utf-8")
    charger = read_profile(path).charging()
    assert charger.told_in_watts
    assert charger.setpoint.pause_w == 500.0
    assert charger.mains is not None
    assert (charger.mains.power, charger.mains.efficiency) == (None, 1.0)


def mirrored(read: str, write: str, *, high: int) -> str:
    """A keep-alive that copies one point to another."""
    mirror = f"{{read: {read}, write: {write}, low: 0, high: {high}, toggles_s: 1}}"
    return f"keepalive: {{kind: mirror, mirror: {mirror}}}"


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        ("pause_w: 500", "pause_a: 0", "setpoint", "is missing: pause_w"),
        ("pause_w: 500", "pause_w: 500, pause_a: 0", "setpoint.pause_a", "other unit"),
        ("mains: {power_factor: 0.98}\n", "", "setpoint.point", "how watts become amperes"),
        ("unit: W, access", "unit: kW, access", "points.limit_w", "not in kW"),
        (
            "{power_factor: 0.98}",
            "{power: power_w, power_factor: 0.98}",
            "mains.power",
            "measures its currents",
        ),
        ("{power_factor: 0.98}", "{power: pwr, power_factor: 0.98}", "mains.power", "no point pwr"),
        ("unit: W, poll: fast", "unit: W, poll: slow", "mains.power", "polled fast"),
        (
            "keepalive:",
            "failsafe_outside: {timeout_s: 5, where: there}\nkeepalive:",
            "failsafe_outside",
            "exclude each other",
        ),
    ],
)
def test_a_wrong_limit_in_watts(
    old: str, new: str, path: str, message: str, tmp_path: Path
) -> None:
    text = WATTS
    if "polled" in message:
        text = text.replace("{power_factor: 0.98}", "{power: power_w, power_factor: 0.98}")
    found = findings(tmp_path, text.replace(old, new))
    assert [f for f in found if f.path == path and message in f.message], found


# What is exchanged, for what, and the code, path and a part of the message of each finding.
BROKEN = [
    (
        "title: a charger",
        "titel: a charger",
        [("missing", "title", "missing"), ("unknown_key", "titel", "did you mean title?")],
    ),
    ("word_order: high", "word_order: middle", [("not_allowed", "word_order", "middle")]),
    ("kind: charger", "kind: toaster", [("not_allowed", "kind", "toaster")]),
    ("profile: made-up", "profile: other", [("wrong_name", "profile", "the file is made-up.yaml")]),
    (
        "address: 12, type: u32",
        "address: 11, type: u32",
        [("overlap", "points.current_a.2", "share a register")],
    ),
    (
        "address: 20, type: u16",
        "address: 65536, type: u16",
        [("out_of_range", "points.state.address", "65536")],
    ),
    (
        "address: 20, type: u16",
        "address: 20.5, type: u16",
        [("wrong_type", "points.state.address", "20.5")],
    ),
    (
        "address: 20, type: u16",
        "address: 65535, type: u32",
        [("out_of_range", "points.state.address", "above register 65535")],
    ),
    (
        "type: u32, scale: 0.001, unit: A, poll: fast}",
        "type: u24, scale: 0.001, unit: A, poll: fast}",
        [("not_allowed", "points.current_a.1.type", "u24")],
    ),
    (
        "scale: 0.001, unit: A, poll",
        "scale: 0.001, unit: mA, poll",
        [("wrong_unit", "points.current_a.1.unit", "kept in A")],
    ),
    (
        "scale: 0.001, unit: A, poll",
        "scale: 0, unit: A, poll",
        [("out_of_range", "points.current_a.1.scale", "scale is 0")],
    ),
    (
        "type: u32, scale: 0.001, unit: A, poll: fast}",
        "type: u32, count: 1, scale: 0.001, unit: A, poll: fast}",
        [("wrong_type", "points.current_a.1.count", "u32 takes 2 registers")],
    ),
    (
        "type: u32, scale: 0.001, unit: A, poll: fast}",
        "type: f32, mask: 3, unit: A, poll: fast}",
        [("wrong_type", "points.current_a.1.mask", "whole numbers")],
    ),
    (
        "range: [0, 32], access: rw}",
        "range: [32, 0], access: rw}",
        [
            ("out_of_range", "points.limit_a.range", "ends below"),
            ("out_of_range", "setpoint.min_a", "6"),
            ("out_of_range", "setpoint.max_a", "32"),
            ("out_of_range", "setpoint.pause_a", "0"),
        ],
    ),
    (
        "range: [0, 32], access: rw}",
        "range: [0, .inf], access: rw}",
        [("not_finite", "points.limit_a.range[1]", "finite")],
    ),
    (
        "unit: A, poll: fast}",
        "unit: A, poll: slow}",
        [("bad_value", "points.current_a.1", "not polled fast")],
    ),
    ("access: w}", "access: w, poll: slow}", [("not_readable", "points.alive.poll", "write-only")]),
    (
        "max_registers: 20",
        "max_registers: 1",
        [("too_long", f"points.current_a.{n}", "2 registers") for n in (1, 2, 3)],
    ),
    ("max_registers: 20", "max_registers: 200", [("out_of_range", "read.max_registers", "125")]),
    ("max_registers: 20", "never_read: [20]", [("never_read", "points.state", "never_read")]),
    ("max_registers: 20", "alone: [11]", [("overlap", "points.current_a.1", "read.alone")]),
    (
        "codes: {0: idle, 1: busy}, poll: fast",
        "codes: {0: idle, 1: busy}, scope: connector, poll: fast",
        [("missing", "points.state.scope", "no connectors")],
    ),
    ("request_gap_s: 0,", "request_gap_s: 0.6,", [("out_of_range", "transport.poll_s", "1.2 s")]),
    (
        "point: state, at_most: 1",
        "point: stat, at_most: 1",
        [("unknown_name", "identify[0].point", "did you mean state?")],
    ),
    ("point: state, at_most: 1,", "point: state,", [("missing", "identify[0]", "expects nothing")]),
    (
        "point: state, at_most: 1",
        "point: alive, at_most: 1",
        [("not_readable", "identify[0].point", "write-only")],
    ),
    (
        "{point: limit_a, min_a",
        "{point: state, min_a",
        [("not_writable", "setpoint.point", "state cannot be written")],
    ),
    (
        "{point: limit_a, min_a",
        "{point: current_a.1, min_a",
        [
            ("not_writable", "setpoint.point", "cannot be written"),
            ("wrong_type", "setpoint.point", "function 6 writes one"),
        ],
    ),
    ("readback: none", "readback: alive", [("not_readable", "setpoint.readback", "write-only")]),
    (
        "readback: none",
        "readback: null",
        [("wrong_type", "setpoint.readback", "nothing stands here")],
    ),
    (", readback: none", "", [("missing", "setpoint.readback", "missing")]),
    ("step_a: 1,", "step_a: 0.5,", [("bad_value", "setpoint.step_a", "no whole number")]),
    ("max_a: 32, step_a", "max_a: 33, step_a", [("out_of_range", "setpoint.max_a", "33 is above")]),
    (
        "default_a: 6",
        "default_a: 40",
        [
            ("out_of_range", "failsafe.current.default_a", "40 is above"),
            ("out_of_range", "failsafe.current.default_a", "outside what the block takes"),
        ],
    ),
    (
        "default_s: 60",
        "default_s: 900",
        [("out_of_range", "failsafe.timeout.default_s", "900 s is outside")],
    ),
    (
        "order: [failsafe_a, watchdog_s]",
        "order: [failsafe_a, failsafe_a]",
        [("bad_value", "failsafe.order", "both written points")],
    ),
    (
        "keepalive: {kind: rewrite}",
        "keepalive: {kind: none}",
        [("bad_value", "keepalive.kind", "belong together")],
    ),
    (
        "keepalive: {kind: rewrite}",
        "keepalive: {kind: life_bit}",
        [("bad_value", "keepalive", "they need it")],
    ),
    (
        "keepalive: {kind: rewrite}",
        "keepalive: {kind: life_bit, write: {point: alive, value: 70000}}",
        [("out_of_range", "keepalive.write.value", "does not fit")],
    ),
    (
        "keepalive: {kind: rewrite}",
        "keepalive: {kind: mirror}",
        [("bad_value", "keepalive", "mirror, which needs it")],
    ),
    (
        "keepalive: {kind: rewrite}",
        mirrored("alive", "state", high=1),
        [
            ("not_readable", "keepalive.mirror.read", "alive"),
            ("not_writable", "keepalive.mirror.write", "state"),
        ],
    ),
    (
        "keepalive: {kind: rewrite}",
        mirrored("state", "alive", high=65536),
        [
            ("bad_value", "keepalive.mirror.read", "no codes"),
            ("out_of_range", "keepalive.mirror.high", "does not fit"),
        ],
    ),
    (
        "keepalive: {kind: rewrite}",
        "keepalive: {kind: nod}",
        [("not_allowed", "keepalive.kind", "nod")],
    ),
    (
        "keepalive: {kind: rewrite}",
        "keepalive: {kind: rewrite, share: 0.9}",
        [("out_of_range", "keepalive.share", "0.5")],
    ),
    ("boot_a: unknown\n", "", [("missing", "boot_a", "missing")]),
    ("boot_a: unknown", "boot_a: maybe", [("wrong_type", "boot_a", "maybe")]),
    (
        "{state: busy}",
        "{state: bussy}",
        [("unknown_name", "states[0].when.state", "did you mean busy?")],
    ),
    ("is: charging", "is: happy", [("not_allowed", "states[0].is", "happy")]),
    ("state: {kind", "State: {kind", [("bad_text", "points.State", "State")]),
]


@pytest.mark.parametrize(
    ("good", "broken", "expected"), BROKEN, ids=[f"{row[2][0][1]}-{row[1][:24]}" for row in BROKEN]
)
def test_a_fault_is_named_with_line_path_and_remedy(
    tmp_path: Path, good: str, broken: str, expected: list[tuple[str, str, str]]
) -> None:
    text = CHARGER.replace(good, broken, 1)
    assert text != CHARGER

    found = findings(tmp_path, text)

    assert [(f.code, f.path) for f in found] == [(code, path) for code, path, _ in expected]
    for finding, (_, path, part) in zip(found, expected, strict=True):
        assert part in finding.message
        assert finding.line == _line_of_path(text, path)


def test_a_missing_failsafe_word_is_asked_for(tmp_path: Path) -> None:
    start, end = CHARGER.index("failsafe:\n"), CHARGER.index("keepalive:")
    (finding,) = findings(tmp_path, CHARGER[:start] + CHARGER[end:])
    assert (finding.code, finding.path) == ("missing", "failsafe")
    assert "nobody talks to it" in finding.message
    assert "`failsafe: none`" in finding.remedy
    # An empty value is no answer either.
    (empty,) = findings(tmp_path, CHARGER[:start] + "failsafe:\n" + CHARGER[end:])
    assert empty.path == "failsafe"
    assert "nothing stands here" in empty.message


def test_the_word_that_there_is_no_failsafe(tmp_path: Path) -> None:
    start, end = CHARGER.index("failsafe:\n"), CHARGER.index("keepalive:")
    text = CHARGER[:start] + "failsafe: none\n" + CHARGER[end:].replace("rewrite", "none")
    path = tmp_path / "made-up.yaml"
    path.write_text(text, encoding="utf-8")
    charger = read_profile(path).charger
    assert charger is not None
    assert charger.failsafe is None
    assert charger.feeding.kind is KeepAlive.NONE


def test_a_meter_takes_no_parts_of_a_charger(tmp_path: Path) -> None:
    found = findings(tmp_path, CHARGER.replace("kind: charger", "kind: meter"))
    assert {f.code for f in found} == {"unknown_key"}
    assert {f.path for f in found} == {"setpoint", "failsafe", "keepalive", "boot_a", "states"}


def test_a_meter_without_currents_measures_nothing(tmp_path: Path) -> None:
    text = CHARGER[: CHARGER.index("setpoint: {")].replace("kind: charger", "kind: meter")
    found = findings(tmp_path, text.replace("current_a.1", "amps"))
    assert [(f.code, f.path) for f in found] == [("missing", "points")]


def test_connectors_that_overlap_are_found(tmp_path: Path) -> None:
    text = CHARGER.replace("codes: {", "scope: connector, codes: {", 1).replace(
        "type: u16, access: w}", "type: u16, scope: connector, access: w}"
    )
    close = "connectors: {first: 1, last: 2, base: 100, stride: 10}\n"
    found = findings(tmp_path, text + close)
    assert [(f.code, f.path) for f in found] == [("overlap", "connectors.stride")]
    assert "14 registers" in found[0].message  # 20 to 33
    high = "connectors: {first: 1, last: 1, base: 65520, stride: 100}\n"
    assert [(f.code, f.path) for f in findings(tmp_path, text + high)] == [
        ("out_of_range", "connectors")
    ]
    onto = "connectors: {first: 1, last: 1, base: 0, stride: 100}\n"
    found = findings(tmp_path, text.replace("address: 33", "address: 15") + onto)
    assert [f.code for f in found] == ["overlap"]
    assert "alive and current_a.3 share a register" in found[0].message


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    text = CHARGER.replace("unit: s,", "unit: ms,").replace("step_a: 1,", "step_a: 0.5,")
    assert len(findings(tmp_path, text)) == 2


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "empty"), ("- a\n", "wrong_type"), ("a: [1\n", "syntax"), ("just words\n", "wrong_type")],
)
def test_what_is_no_profile_at_all(tmp_path: Path, text: str, code: str) -> None:
    assert findings(tmp_path, text)[0].code == code


def test_a_duplicate_point_is_found(tmp_path: Path) -> None:
    text = CHARGER.replace("current_a.3:", "current_a.2:")
    assert "duplicate_key" in [f.code for f in findings(tmp_path, text)]


def test_the_technicians_folder_replaces_a_built_in_profile(tmp_path: Path) -> None:
    own = (builtin_folder() / "keba-p40.yaml").read_text(encoding="utf-8")
    (tmp_path / "keba-p40.yaml").write_text(
        own.replace("KEBA KeContact P40 / P40 Pro", "ours"), encoding="utf-8"
    )
    profiles = load_profiles([tmp_path, builtin_folder()])
    assert profiles["keba-p40"].title == "ours"
    assert profiles["keba-p40"].file == str(tmp_path / "keba-p40.yaml")
    assert set(profiles) == set(PROFILES)


def test_a_broken_file_of_the_technician_does_not_fall_back_silently(tmp_path: Path) -> None:
    (tmp_path / "keba-p40.yaml").write_text("kind: charger\n", encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        load_profiles([tmp_path, builtin_folder()])
    assert {f.file for f in caught.value.findings} == {str(tmp_path / "keba-p40.yaml")}


def test_an_absent_folder_is_passed_over_and_no_profile_at_all_is_said(tmp_path: Path) -> None:
    assert set(load_profiles([tmp_path / "absent", builtin_folder()])) == set(PROFILES)
    with pytest.raises(BadInput, match="no profile"):
        load_profiles([tmp_path])


def test_nothing_of_the_technician_is_passed_over_silently(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text("profile: mine\n", encoding="utf-8")
    with pytest.raises(BadInput, match="rename it to mine"):
        load_profiles([tmp_path, builtin_folder()])
    with pytest.raises(BadInput, match="the folder cannot be read"):
        load_profiles([tmp_path / "mine.yml", builtin_folder()])


def test_the_technicians_folder_is_looked_into_first() -> None:
    assert profile_folders() == (Path("/etc/edgectl/profiles"), builtin_folder())


def test_what_the_files_say_arrives() -> None:
    assert EM24.word_order is WordOrder.LOW
    assert EM24.read.alone == (0x0B,)
    assert KEBA.read.single_value
    assert KEBA.refresh_s == 4.0
    assert CHARX.point("state").type is PointType.ASCII
    assert CHARX.point("state").scope is Scope.CONNECTOR
    assert CHARX.point("current_a.1").poll is PollClass.FAST
    assert CHARX.connectors.start(12) == 12000


def test_the_schema_for_editors_takes_every_built_in_profile() -> None:
    schema = profile_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for path in builtin_folder().glob("*.yaml"):
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        # JSON has only text for keys.
        assert list(validator.iter_errors(json.loads(json.dumps(data)))) == [], path.name


def _line_of_path(text: str, path: str) -> int:
    """Line of the deepest part of a path that stands in the text; flow maps stand on one line."""
    top, _, rest = path.partition(".")
    name = top.split("[")[0]
    lines = text.splitlines()
    here = next((n for n, line in enumerate(lines) if line.startswith(f"{name}:")), None)
    if here is None:
        return 1
    inner = "" if name in {"setpoint", "transport", "read", "keepalive"} else rest
    if name == "points" and rest:
        inner = (
            ".".join(rest.split(".")[:2]) if rest.startswith("current_a") else rest.split(".")[0]
        )
    if "[" in top:
        return here + 2
    if not inner:
        return here + 1
    first = inner if name == "points" else inner.split(".")[0]
    below = (n for n, line in enumerate(lines) if n > here and line.startswith(f"  {first}:"))
    return next(below, here) + 1
