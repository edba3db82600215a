"""When certificates end: read from the files, and told in time."""

import asyncio
import datetime as dt
from pathlib import Path

import pytest
import trustme

from edgectl.adapters.certificates import CertificateWatch, ending
from edgectl.clock import Instant
from edgectl.errors import BadInput
from edgectl.model.decision import AlarmCode, Severity
from edgectl.model.settings import BrokerAddress, MqttSettings
from tests.mqtt.mosquitto import until

NOW = dt.datetime(2030, 6, 1, 12, 0, 0, tzinfo=dt.UTC)


def pem(ends: dt.datetime) -> bytes:
    return trustme.CA().issue_cert("gw@depot.example", not_after=ends).cert_chain_pems[0].bytes()


@pytest.mark.parametrize(
    "ends",
    [NOW, dt.datetime(2049, 12, 31, 23, 59, 59, tzinfo=dt.UTC), NOW.replace(year=2051)],
)
def test_the_end_is_read_to_the_second(tmp_path: Path, ends: dt.datetime) -> None:
    file = tmp_path / "gw.pem"
    file.write_bytes(b"some text before\n" + pem(ends))
    assert ending("cert", str(file)).ends_utc_s == ends.timestamp()


def test_of_a_chain_the_first_to_end_counts_and_of_authorities_the_last(tmp_path: Path) -> None:
    file, later = tmp_path / "chain.pem", NOW.replace(year=2033)
    file.write_bytes(pem(later) + pem(NOW))
    assert ending("cert", str(file)).ends_utc_s == NOW.timestamp()
    assert ending("ca", str(file)).ends_utc_s == later.timestamp()


@pytest.mark.parametrize("cut", [0, 100, 400])
def test_a_file_without_a_certificate_is_bad_input(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "gw.pem"
    whole = pem(NOW).decode()
    body = "".join(whole.splitlines()[1:-1])[: cut - cut % 4]
    file.write_text(f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    with pytest.raises(BadInput):
        ending("cert", str(file))


def test_the_alarm_comes_in_time_grows_louder_and_ends_with_the_renewal(tmp_path: Path) -> None:
    file = tmp_path / "gw.pem"
    file.write_bytes(pem(NOW))
    mqtt = MqttSettings(brokers=(BrokerAddress(host="b", port=8883),), cert=str(file))
    watch = CertificateWatch()
    watch.watch(mqtt)

    def at(days: float, *, trusted: bool = True) -> Instant:
        utc_s = NOW.timestamp() + days * 86_400.0
        return Instant(mono_s=(days + 1000.0) * 86_400.0, utc_s=utc_s, utc_trusted=trusted)

    async def looked(days: float) -> list[Severity]:
        before = watch._found
        watch.alarms(at(days))
        await until(lambda: watch._found is not before)
        found = watch.alarms(at(days))
        assert all((one.code, one.id) == (AlarmCode.CERTIFICATE_ENDS, "cert") for one in found)
        return [one.severity for one in found]

    async def main() -> None:
        assert await looked(-31) == []
        assert await looked(-29) == [Severity.WARNING]
        assert await looked(-6) == [Severity.ALARM]
        assert watch.alarms(at(-6, trusted=False)) == ()
        assert await looked(1) == [Severity.ALARM]
        assert "no broker takes it" in watch.alarms(at(1))[0].text
        file.write_bytes(pem(NOW.replace(year=2031)))
        assert await looked(2) == []

    asyncio.run(main())
