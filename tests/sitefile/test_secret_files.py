"""What `check` says of the certificates, keys and passwords that a site file names."""

import os
from pathlib import Path

import pytest

from edgectl.sitefile.build import CREDENTIALS
from edgectl.sitefile.load import LoadedSite, load_site
from tests.mqtt.keys import Keys, make_keys

SITE = """\
site: {{id: t, region: r, timezone: Europe/Berlin, voltage_v: 230, mode: observe}}
nodes:
  - {{id: grid, limit_a: [200, 200, 200], base_max_a: [10, 10, 10]}}
links:
  - {{id: lan1, kind: tcp, host: 127.0.0.1, port: 1}}
evses:
  - {{id: bay01, node: grid, profile: keba-p40, link: lan1, unit: 255, connector: 1,
     phases: [1, 2, 3], connection: line_to_neutral, max_a: 32, boot_a: 6}}
mqtt:
  brokers: [{{host: broker.region.example, port: 8883}}]
  ca: {ca}
  cert: {cert}
  key: {key}
{more}
"""


def load(
    folder: Path, keys: Keys, *, more: str = "", **changes: str
) -> tuple[LoadedSite, dict[str, str]]:
    names = {"ca": str(keys.ca), "cert": str(keys.cert), "key": str(keys.key)} | changes
    file = folder / "site.yaml"
    file.write_text(SITE.format(**names, more=more))
    loaded = load_site(file)
    return loaded, {
        warning.path: f"{warning.code}: {warning.message}; {warning.remedy}"
        for warning in loaded.warnings
        if warning.path.startswith("mqtt.")
    }


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path)


def test_files_that_fit_are_not_mentioned(tmp_path: Path, keys: Keys) -> None:
    loaded, said = load(tmp_path, keys)
    assert said == {}
    assert loaded.settings.mqtt is not None
    assert loaded.settings.mqtt.ca == str(keys.ca)


def test_files_that_are_not_there_are_named_and_refuse_nothing(tmp_path: Path, keys: Keys) -> None:
    keys.ca.unlink()
    loaded, said = load(tmp_path, keys, cert="gone.pem")
    assert not loaded.open_risks()
    assert said["mqtt.ca"].startswith(f"no_file: there is no file {keys.ca}")
    assert str(tmp_path / "gone.pem") in said["mqtt.cert"]
    assert set(said) == {"mqtt.ca", "mqtt.cert"}


def test_a_key_for_everybody_is_no_secret(tmp_path: Path, keys: Keys) -> None:
    keys.key.chmod(0o644)
    _, said = load(tmp_path, keys)
    assert said["mqtt.key"].startswith("open_secret")
    assert f"chmod o-rwx {keys.key}" in said["mqtt.key"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_key_that_this_user_may_not_read(tmp_path: Path, keys: Keys) -> None:
    keys.key.chmod(0)
    _, said = load(tmp_path, keys)
    assert said["mqtt.key"].startswith("unreadable")


def test_a_folder_in_a_files_place(tmp_path: Path, keys: Keys) -> None:
    (tmp_path / "folder").mkdir()
    _, said = load(tmp_path, keys, key="folder")
    assert said["mqtt.key"].startswith("unreadable")


def test_a_certificate_that_is_none_and_a_key_that_is_anothers(tmp_path: Path, keys: Keys) -> None:
    (tmp_path / "text.pem").write_text("hello\n")
    _, said = load(tmp_path, keys, ca="text.pem")
    assert said["mqtt.ca"].startswith("bad_certificate")
    other = make_keys(tmp_path, name="other")
    _, said = load(tmp_path, keys, key=str(other.key))
    assert said["mqtt.cert"].startswith("bad_certificate")
    assert "cannot be used together" in said["mqtt.cert"]


def test_a_credential_is_where_systemd_puts_it(tmp_path: Path, keys: Keys) -> None:
    loaded, said = load(tmp_path, keys, key="credential:mqtt.key")
    assert loaded.settings.mqtt is not None
    assert loaded.settings.mqtt.key == str(CREDENTIALS / "mqtt.key")
    assert "/etc/credstore/edgectl.mqtt.key" in said["mqtt.key"]


def test_a_password_needs_its_user_and_stands_in_a_file(tmp_path: Path, keys: Keys) -> None:
    word = tmp_path / "word"
    word.write_text("x")
    word.chmod(0o600)
    loaded, said = load(tmp_path, keys, more="  username: depot\n  password_file: word")
    assert said == {}
    assert loaded.settings.mqtt is not None
    assert (loaded.settings.mqtt.username, loaded.settings.mqtt.password_file) == (
        "depot",
        str(word),
    )


def test_the_unit_loads_the_credentials_that_a_site_file_can_name() -> None:
    unit = (Path(__file__).parents[2] / "systemd" / "edgectl.service").read_text()
    for name in ("mqtt.ca", "mqtt.cert", "mqtt.key", "mqtt.password"):
        assert f"LoadCredential={name}:edgectl.{name}\n" in unit
    assert CREDENTIALS.name == "edgectl.service"
