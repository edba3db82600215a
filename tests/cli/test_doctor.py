"""`doctor` and `bundle`: what is wrong is said with a remedy, and no secret leaves the machine."""

import datetime as dt
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme

from edgectl.cli.doctor import LINKS_TOLD, Finding, Verdict, _links, _together
from edgectl.cli.main import main
from edgectl.contract.local import MqttStatus
from edgectl.contract.local_tool import DevicesAnswer
from tests.api.world import ALARM, FixedFacts, record
from tests.cli.depot import api, tool
from tests.cli.test_field_verbs import DEVICE, DEVICES, look_at_devices, look_at_events
from tests.mqtt.keys import Keys, make_keys
from tests.sitefile.test_secret_files import SITE

Captured = pytest.CaptureFixture[str]


def site(folder: Path, keys: Keys, **changes: str) -> Path:
    names = {"ca": str(keys.ca), "cert": str(keys.cert), "key": str(keys.key)} | changes
    file = folder / "site.yaml"
    file.write_text(SITE.format(**names, more=""))
    return file


def run(
    folder: Path,
    *words: str,
    facts: FixedFacts | None = None,
    mqtt: MqttStatus | None = None,
) -> int:
    looks = {"events": look_at_events, "devices": look_at_devices}
    handler = api(facts=facts, looks=looks, mqtt=mqtt).handle
    (folder / "state").mkdir(exist_ok=True)
    places = ("--config", str(folder / "site.yaml"), "--state", str(folder / "state"))
    return tool(folder, *words, *places, handler=handler)


def findings(folder: Path, capsys: Captured, **more: Any) -> dict[str, list[tuple[str, str]]]:
    capsys.readouterr()
    code = run(folder, "doctor", "--json", **more)
    answer = json.loads(capsys.readouterr().out)
    found: dict[str, list[tuple[str, str]]] = {}
    for one in answer["findings"]:
        found.setdefault(one["about"], []).append((one["verdict"], one["text"]))
        assert one["verdict"] == "ok" or one["remedy"] or one["about"] == "alarms"
    assert answer["ok"] is (code == 0)
    return found


def test_what_is_well_and_what_is_not(tmp_path: Path, capsys: Captured) -> None:
    site(tmp_path, make_keys(tmp_path))
    found = findings(tmp_path, capsys, facts=FixedFacts(record(alarms=(ALARM,))))
    assert found["daemon"][0][0] == "ok"
    assert found["clock"][0][0] == "ok"
    assert found["site file"] == [("ok", f"{tmp_path / 'site.yaml'} is sound")]
    assert found["broker"][0][0] == "ok"
    ((verdict, text),) = found["link lan2"]
    assert verdict == "bad"
    assert text.startswith("no connection for 7s: 10.0.0.22 port 502 refuses the connection")
    assert found["disk"][0][1].startswith(tuple("0123456789"))
    assert {verdict for verdict, _ in found["certificates"]} == {"ok"}
    assert found["alarms"] == [("ok", "none, and 1 warnings")]


def test_a_broker_that_refuses_is_not_well(tmp_path: Path, capsys: Captured) -> None:
    site(tmp_path, make_keys(tmp_path))
    topic = "edgectl/v1/bay/depot-north/event"
    mqtt = MqttStatus(connected=True, broker="hub", backlog=12, refused=[topic])
    found = findings(tmp_path, capsys, mqtt=mqtt)
    assert found["broker"] == [("bad", f"connected to hub, which refuses {topic}")]


def test_for_a_person_in_80_columns_with_a_remedy_below_each(
    tmp_path: Path, capsys: Captured
) -> None:
    site(tmp_path, make_keys(tmp_path))
    assert run(tmp_path, "doctor") == 1
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    at = next(n for n, line in enumerate(lines) if line.startswith("BAD   link lan2"))
    assert any(line.startswith("      -> power, cable") for line in lines[at:])
    assert lines[-1].endswith(" ok")


def test_no_daemon_and_a_broken_site_file(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "site.yaml").write_text("site: {}\n")
    words = ["doctor", "--config", str(tmp_path / "site.yaml"), "--state", str(tmp_path / "none")]
    assert main([*words, "--socket", str(tmp_path / "none.sock"), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    about = {one["about"]: one for one in answer["findings"]}
    assert about["daemon"]["verdict"] == "bad"
    assert "systemctl start edgectl" in about["daemon"]["remedy"]
    assert about["site file"]["verdict"] == "bad"
    assert "edgectl check" in about["site file"]["remedy"]
    assert about["disk"]["verdict"] == "warn"


def test_certificates_that_end_and_that_have_ended(tmp_path: Path, capsys: Captured) -> None:
    keys = make_keys(tmp_path)
    site(tmp_path, keys)
    authority = trustme.CA()
    for days, verdict in ((-1, "bad"), (10, "warn"), (400, "ok")):
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
        issued = authority.issue_cert("gw@depot.example", not_after=ends)
        issued.cert_chain_pems[0].write_to_path(keys.cert)
        keys.key.unlink()
        issued.private_key_pem.write_to_path(keys.key)
        keys.key.chmod(0o600)
        found = findings(tmp_path, capsys)["certificates"]
        assert [one for one, text in found if text.startswith(f"cert {keys.cert}")] == [verdict]


def test_a_key_for_everybody_is_bad(tmp_path: Path, capsys: Captured) -> None:
    keys = make_keys(tmp_path)
    site(tmp_path, keys)
    keys.key.chmod(0o644)
    assert "bad" in {verdict for verdict, _ in findings(tmp_path, capsys)["certificates"]}


def test_a_damaged_file_that_was_put_aside_is_mentioned(tmp_path: Path, capsys: Captured) -> None:
    site(tmp_path, make_keys(tmp_path))
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "state.db.unreadable").touch()
    disk = findings(tmp_path, capsys)["disk"]
    assert ("warn", "state.db.unreadable was damaged and put aside") in disk


@pytest.mark.parametrize(
    ("changes", "verdict", "word"),
    [
        ({}, Verdict.OK, "busy for"),
        ({"misses": 30}, Verdict.WARN, "go without an answer"),
        ({"requests": 60_000}, Verdict.WARN, "busy for 83%"),
        ({"requests": 10, "misses": 9}, Verdict.OK, "busy for"),
    ],
)
def test_links_by_load_and_by_what_is_missed(
    changes: Mapping[str, int], verdict: Verdict, word: str
) -> None:
    device = DEVICE.model_copy(update=dict(changes))
    link = DEVICES.links[0].model_copy(update={"devices": [device]})
    status = {"at": "2027-01-15T08:00:00Z", "since": "2027-01-15T07:45:00Z"}
    (found,) = _links(status, DevicesAnswer(links=[link]).to_json())
    assert found.verdict is verdict
    assert word in found.text


def unpacked(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        found = {}
        for member in archive.getmembers():
            file = archive.extractfile(member)
            assert file is not None
            found[member.name.removeprefix("edgectl-bundle/")] = file.read().decode()
        return found


def test_the_bundle_has_what_helps_and_no_secret(tmp_path: Path, capsys: Captured) -> None:
    keys = make_keys(tmp_path)
    config = site(tmp_path, keys)
    config.write_text(config.read_text() + f"# {keys.key.read_text().splitlines()[1]}\n")
    config.write_text(config.read_text() + "# the old password was hunter2\n")
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "own.yaml").write_text("profile: own\n" + keys.key.read_text())
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "state.db").write_text("orders")
    (tmp_path / "state" / "broken-step-1.json").write_text('{"error": "it broke"}')
    target = tmp_path / "bundle.tar.gz"
    assert run(tmp_path, "bundle", str(target)) == 0
    assert "Look into it" in capsys.readouterr().out
    assert target.stat().st_mode & 0o077 == 0
    found = unpacked(target)
    assert {"status.json", "devices.json", "events.json", "doctor.json", "site.yaml"} <= set(found)
    assert {"check.json", "journal.txt", "version.txt", "profiles/own.yaml"} <= set(found)
    assert "it broke" in found["crashes/broken-step-1.json"]
    assert json.loads(found["status.json"])["site"] == "depot-north"
    assert "bay01" in found["site.yaml"]
    whole = "".join(found.values())
    body = keys.key.read_text().splitlines()
    assert "PRIVATE KEY" not in whole
    assert "hunter2" not in whole
    assert not any(line in found["profiles/own.yaml"] for line in body[1:-1])
    assert "state.db" not in found


def test_a_bundle_never_writes_over_a_file(tmp_path: Path, capsys: Captured) -> None:
    site(tmp_path, make_keys(tmp_path))
    target = tmp_path / "bundle.tar.gz"
    target.write_text("mine")
    assert run(tmp_path, "bundle", str(target)) == 2
    assert target.read_text() == "mine"
    assert run(tmp_path, "bundle", str(tmp_path / "none" / "b.tar.gz")) == 2
    assert "name a file in a folder that exists" in capsys.readouterr().err


def test_a_bundle_without_a_daemon_is_still_one(tmp_path: Path) -> None:
    target = tmp_path / "bundle.tar.gz"
    words = ["bundle", str(target), "--config", str(tmp_path / "none.yaml")]
    places = ["--state", str(tmp_path), "--socket", str(tmp_path / "none.sock")]
    assert main([*words, *places]) == 0
    found = unpacked(target)
    assert "no daemon has its socket" in found["status.json"]
    assert "cannot be read" in found["site.yaml"]


def test_many_links_that_are_well_are_one_line() -> None:
    well = [Finding(f"link {n}", Verdict.OK, "connected") for n in range(LINKS_TOLD + 1)]
    bad = Finding("link x", Verdict.BAD, "no connection", "mend it")
    assert _together([*well, bad])[1:] == [bad]
    assert _together([*well, bad])[0].text.startswith(f"{LINKS_TOLD + 1} of {LINKS_TOLD + 2} are")
    assert _together([bad, *well[1:]]) == [bad, *well[1:]]
