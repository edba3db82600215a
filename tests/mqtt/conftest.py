"""Whatever a test of MQTT leaves behind in asyncio is a fault of the test or of the adapter."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def nothing_left_behind(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    gc.collect()
    left = [one for one in caplog.get_records("call") if one.name == "asyncio"]
    assert left == [], "a task or a future ended with nobody to see it"
