"""What reaches the service manager, over a real datagram socket."""

import socket
from pathlib import Path

from edgectl.adapters.systemd import Systemd
from edgectl.model.ports import Watchdog


def _listen(address: str) -> socket.socket:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(address)
    manager.settimeout(5)
    return manager


def _say_everything(watchdog: Watchdog) -> None:
    watchdog.ready()
    watchdog.feed()
    watchdog.status("6 EVSEs,\n 80 A ")
    watchdog.stopping()


def test_every_word_arrives(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with _listen(address) as manager:
        systemd = Systemd.from_environment({"NOTIFY_SOCKET": address})
        _say_everything(systemd)
        systemd.close()
        said = [manager.recv(1024) for _ in range(4)]
    assert said == [b"READY=1", b"WATCHDOG=1", b"STATUS=6 EVSEs, 80 A", b"STOPPING=1"]


def test_an_abstract_address_is_understood(tmp_path: Path) -> None:
    name = f"edgectl-test-{tmp_path.name}-{id(tmp_path)}"
    with _listen("\0" + name) as manager:
        systemd = Systemd("@" + name)
        systemd.feed()
        systemd.close()
        assert manager.recv(1024) == b"WATCHDOG=1"


def test_without_a_service_manager_nothing_happens() -> None:
    systemd = Systemd.from_environment({})
    _say_everything(systemd)
    systemd.close()
    systemd.close()
    systemd.feed()


def test_a_manager_that_is_gone_or_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    gone = Systemd(str(tmp_path / "none"))
    gone.feed()
    gone.close()
    address = str(tmp_path / "notify")
    with _listen(address) as manager:
        systemd = Systemd(address)
        for _ in range(100_000):
            systemd.feed()
        systemd.close()
        assert manager.recv(1024) == b"WATCHDOG=1"
