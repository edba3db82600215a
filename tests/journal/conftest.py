"""The recorded run is made before any test listens to what is printed."""

import pytest

from tests.journal.recorded import run


@pytest.fixture(scope="session", autouse=True)
def recorded_run() -> None:
    run()
