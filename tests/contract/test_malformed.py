"""What is refused as malformed leaves nothing behind of who read it."""

import gc
import weakref

import pytest

from edgectl.contract.openadr import parse_event
from edgectl.errors import Refused
from tests.grid.samples import event


class Reader:
    """Whoever reads it: in the daemon the desk, and all that hangs on it."""

    fault: Refused

    def read(self) -> None:
        with pytest.raises(Refused, match="ISO 8601 duration") as caught:
            parse_event(event(intervalPeriod={"start": "0001-01-01", "duration": "-PT60S"}))
        self.fault = caught.value


def test_a_malformed_event_does_not_keep_its_reader() -> None:
    reader = Reader()
    gone = weakref.ref(reader)
    reader.read()
    del reader
    gc.collect()
    assert gone() is None
