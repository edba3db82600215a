"""TLS with certificates of both sides, renewed ones, passwords from files, and what is refused."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgectl.adapters.mqtt import MqttBroker
from edgectl.adapters.mqtt_tls import answers, tls_context
from edgectl.errors import Unreachable
from edgectl.model.settings import BrokerAddress, MqttSettings
from edgectl.model.telemetry import Broker, OutMessage
from tests.mqtt.keys import Keys, make_keys, tls_mosquitto
from tests.mqtt.mosquitto import Mosquitto, free_port
from tests.mqtt.worlds import WILL


async def visit(broker: Broker) -> None:
    async with broker.connect(will=WILL) as session:
        assert await session.publish(OutMessage("t", b"x")) is None


def failure_of(broker: Broker) -> str:
    with pytest.raises(Unreachable) as failed:
        asyncio.run(visit(broker))
    return str(failed.value)


def settings(port: int, keys: Keys, *, ca: Path | None = None, cert: bool = True) -> MqttSettings:
    return MqttSettings(
        brokers=(BrokerAddress(host="127.0.0.1", port=port),),
        ca=str(ca or keys.ca),
        cert=str(keys.cert) if cert else None,
        key=str(keys.key) if cert else None,
    )


def over_tls(made: MqttSettings) -> MqttBroker:
    return MqttBroker(made, identifier="edgectl-test", timeout_s=3.0)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path)


@pytest.fixture
def port(tmp_path: Path, keys: Keys) -> Iterator[int]:
    mosquitto = tls_mosquitto(tmp_path, keys)
    mosquitto.start()
    yield mosquitto.port
    mosquitto.end()


def test_with_a_client_certificate(port: int, keys: Keys) -> None:
    asyncio.run(visit(over_tls(settings(port, keys))))


def test_without_the_asked_certificate_it_says_what_to_look_at(port: int, keys: Keys) -> None:
    assert "client certificate" in failure_of(over_tls(settings(port, keys, cert=False)))


def test_an_authority_that_is_not_the_brokers(port: int, keys: Keys, tmp_path: Path) -> None:
    other = make_keys(tmp_path, name="other")
    failure = failure_of(over_tls(settings(port, keys, ca=other.ca)))
    assert "certificate verify failed" in failure


def test_a_broker_of_another_name(keys: Keys, tmp_path: Path) -> None:
    mosquitto = tls_mosquitto(tmp_path, keys)
    mosquitto.start()
    try:
        made = MqttSettings(
            brokers=(BrokerAddress(host="localhost", port=mosquitto.port),),
            ca=str(keys.ca),
            cert=str(keys.cert),
            key=str(keys.key),
        )
        assert "Hostname mismatch" in failure_of(over_tls(made))
    finally:
        mosquitto.end()


def test_a_missing_certificate_file_is_named(keys: Keys) -> None:
    keys.cert.unlink()
    failure = failure_of(over_tls(settings(free_port(), keys)))
    assert "gw.pem" in failure
    assert "rights" in failure


def test_a_key_that_everybody_may_read_is_not_used(port: int, keys: Keys) -> None:
    keys.key.chmod(0o644)
    failure = failure_of(over_tls(settings(port, keys)))
    assert "can be read by everybody" in failure
    assert "chmod o-rwx" in failure
    keys.key.chmod(0o640)
    asyncio.run(visit(over_tls(settings(port, keys))))


def test_renewed_certificates_are_used_at_the_next_connection(tmp_path: Path, keys: Keys) -> None:
    broker = over_tls(settings(free_port(), keys))
    mosquitto = _on_port(tmp_path, keys, broker._address.port)
    mosquitto.start()
    asyncio.run(visit(broker))
    mosquitto.end()
    # The authority itself is a new one: nothing of the old files would do any more.
    renewed = make_keys(tmp_path, name="renewed")
    mosquitto = _on_port(tmp_path, renewed, broker._address.port)
    mosquitto.start()
    try:
        assert "certificate verify failed" in failure_of(broker)
        for new, old in ((renewed.ca, keys.ca), (renewed.cert, keys.cert), (renewed.key, keys.key)):
            shutil.copy(new, old)
        asyncio.run(visit(broker))
    finally:
        mosquitto.end()


def _on_port(folder: Path, keys: Keys, port: int) -> Mosquitto:
    made = tls_mosquitto(folder, keys)
    config = folder / "mosquitto.conf"
    config.write_text(config.read_text().replace(f"listener {made.port} ", f"listener {port} "))
    made.port = port
    return made


def test_tls_below_1_2_is_not_spoken(keys: Keys) -> None:
    """A server that offers no more than TLS 1.1."""
    assert tls_context(settings(1, keys)).minimum_version is ssl.TLSVersion.TLSv1_2
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys.server_cert, keys.server_key)
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def serve() -> None:
            for _ in range(2):
                plain, _ = listening.accept()
                with plain:
                    try:
                        context.wrap_socket(plain, server_side=True).close()
                    except OSError:
                        continue

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        port = listening.getsockname()[1]
        failure = failure_of(over_tls(settings(port, keys)))
        assert "version" in failure.lower() or "protocol" in failure.lower()
        assert not answers(
            BrokerAddress(host="127.0.0.1", port=port), settings(port, keys), timeout_s=2.0
        )
        serving.join(10)


def test_a_password_comes_from_its_file_at_every_connection(tmp_path: Path) -> None:
    secrets = tmp_path / "passwords"
    program = shutil.which("mosquitto_passwd")
    assert program is not None, "it comes with mosquitto"
    subprocess.run([program, "-b", "-c", secrets, "depot", "right"], check=True)
    secrets.chmod(0o600)
    mosquitto = Mosquitto(tmp_path, extra=f"password_file {secrets}")
    config = tmp_path / "mosquitto.conf"
    config.write_text(config.read_text().replace("allow_anonymous true", "allow_anonymous false"))
    mosquitto.start()
    word = tmp_path / "word"
    word.write_text("wrong\n")
    word.chmod(0o600)
    broker = MqttBroker(
        MqttSettings(
            brokers=(BrokerAddress(host="127.0.0.1", port=mosquitto.port),),
            username="depot",
            password_file=str(word),
        ),
        identifier="edgectl-test",
        timeout_s=3.0,
    )
    try:
        assert "rights of client" in failure_of(broker)
        word.write_text("right\n")
        asyncio.run(visit(broker))
        word.chmod(0o604)
        assert "can be read by everybody" in failure_of(broker)
        word.unlink()
        assert "No such file" in failure_of(broker)
    finally:
        mosquitto.end()


@pytest.mark.parametrize("certified", [True, False])
def test_a_look_at_a_broker_includes_its_verdict_on_our_certificate(
    port: int, keys: Keys, *, certified: bool
) -> None:
    made = settings(port, keys, cert=certified)
    assert answers(made.brokers[0], made, timeout_s=3.0) is certified


def test_a_look_at_a_broker_that_is_not_there(keys: Keys) -> None:
    made = settings(free_port(), keys)
    assert not answers(made.brokers[0], made, timeout_s=1.0)
