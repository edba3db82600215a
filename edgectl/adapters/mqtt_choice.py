"""Which of several brokers: the first that can be reached, and back to a preferred one.

1. After a failed attempt the next in order is tried, and after the last the first again.
2. While another than the first is in use, those before it are looked at now and then; when one has
   answered twice running, the connection is given up for it. If it is not taken after all, the
   looks become rarer, up to an hour apart, so that a half-dead broker does not make us flap.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from edgectl.adapters.mqtt_tls import answers
from edgectl.model.settings import BrokerAddress, MqttSettings

LOOK_S: Final = 60.0
LOOK_MOST_S: Final = 3600.0
GOOD_LOOKS: Final = 2


class BrokerChoice:
    """Keeps which broker is tried now. `look_s`: between two looks at a preferred one."""

    def __init__(self, settings: MqttSettings, *, look_s: float, timeout_s: float) -> None:
        self._settings = settings
        self._timeout_s = timeout_s
        self._first_look_s = look_s
        self._look_s = look_s
        self._chosen = 0
        self._returning = False

    @property
    def address(self) -> BrokerAddress:
        """The broker that is tried now."""
        return self._settings.brokers[self._chosen]

    def failed(self) -> None:
        """Go on to the next one."""
        if self._returning:
            self._look_s = min(2 * self._look_s, LOOK_MOST_S)
            self._returning = False
        self._chosen = (self._chosen + 1) % len(self._settings.brokers)

    def connected(self) -> None:
        """Know that it worked."""
        if self._returning or self._chosen == 0:
            self._look_s = self._first_look_s
        self._returning = False

    def ended(self) -> None:
        """Begin again with the first one."""
        self._chosen = 0

    def watch(self, came_back: Callable[[str], None]) -> "PreferredWatch":
        """Look at the brokers before the one in use, until the watch is closed."""
        before = self._settings.brokers[: self._chosen]

        def told(name: str) -> None:
            self._returning = True
            came_back(name)

        return PreferredWatch(
            before, self._settings, look_s=self._look_s, timeout_s=self._timeout_s, came_back=told
        )


class PreferredWatch:
    """Looks from a thread, between timers: nothing of it waits in the connection's own tasks."""

    def __init__(
        self,
        brokers: tuple[BrokerAddress, ...],
        settings: MqttSettings,
        *,
        look_s: float,
        timeout_s: float,
        came_back: Callable[[str], None],
    ) -> None:
        self._brokers = brokers
        self._settings = settings
        self._look_s = look_s
        self._timeout_s = timeout_s
        self._came_back = came_back
        self._good = 0
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = not brokers
        self._wait()

    def close(self) -> None:
        """Look no more; a look under way ends unheard."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> None:
        if not self._closed:
            self._timer = self._loop.call_later(self._look_s, self._look)

    def _look(self) -> None:
        looking = self._loop.run_in_executor(None, self._first_that_answers)
        looking.add_done_callback(self._looked)

    def _first_that_answers(self) -> str | None:
        for address in self._brokers:
            if answers(address, self._settings, timeout_s=self._timeout_s):
                return f"{address.host}:{address.port}"
        return None

    def _looked(self, looking: "asyncio.Future[str | None]") -> None:
        if self._closed or looking.cancelled():
            return
        found = looking.result()
        self._good = 0 if found is None else self._good + 1
        if found is not None and self._good >= GOOD_LOOKS:
            self.close()
            self._came_back(found)
            return
        self._wait()
