"""Options and fixtures of the whole suite."""

import pytest
from hypothesis import HealthCheck, settings

# Nothing here depends on how fast a machine is, or how busy.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--prove", action="store_true", help="run the long proofs whole")


@pytest.fixture(scope="session")
def prove(request: pytest.FixtureRequest) -> bool:
    """Whether the long proofs are wanted."""
    return bool(request.config.getoption("--prove"))
