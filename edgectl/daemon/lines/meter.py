"""One meter on its link."""

from collections.abc import Sequence

from edgectl.daemon.lines.checks import fitness
from edgectl.daemon.lines.errand import Next, Troubles
from edgectl.daemon.lines.image import Image
from edgectl.daemon.lines.poller import Poller
from edgectl.devices.codec import Bad, Value
from edgectl.devices.profile import Profile
from edgectl.devices.reads import Place
from edgectl.devices.samples import meter_sample
from edgectl.model.decision import AlarmCode, Severity
from edgectl.model.modbus import Miss
from edgectl.model.site import Meter


class MeterDesk:
    """What one device needs next: reads, and nothing else.

    It may stand for several nodes: `meters` are its entries, all at one link and unit.
    """

    def __init__(
        self, meters: Sequence[Meter], profile: Profile, *, image: Image, troubles: Troubles
    ) -> None:
        self.meter = meter = meters[0]
        self._meters = tuple(meters)
        self._profile = profile
        self._image = image
        self._troubles = troubles
        place = Place(
            unit=meter.unit, address_offset=meter.address_offset, word_order=meter.word_order
        )
        self._poller = Poller(
            meter.id,
            profile=profile,
            place=place,
            poll_s=meter.poll_s,
            fitness=fitness(meter.id, profile, place, troubles),
            troubles=troubles,
            take=self._take,
            answered=lambda _sent_s: None,
            missed=self._missed,
        )

    def next(self, now_s: float) -> Next:
        """Give its next read."""
        return self._poller.next(now_s)

    def reconnected(self, now_s: float) -> None:
        """Begin afresh on a new connection; who it is has to be asked again."""
        self._poller.begin_at(now_s)
        self._poller.check_at(now_s)

    def _take(self, values: dict[str, Value], taken_s: float, _now_s: float) -> None:
        for meter in self._meters:
            sample = meter_sample(self._profile, meter, values, taken_s=taken_s)
            if isinstance(sample, Bad):
                self._image.meter_missed(meter.id, str(sample))
                self._troubles.begin(
                    AlarmCode.METER_WITHOUT_DATA,
                    meter.id,
                    f"{sample}; check profile {self._profile.file} and the meter's wiring",
                    severity=Severity.ALARM,
                )
                continue
            self._troubles.end(AlarmCode.METER_WITHOUT_DATA, meter.id)
            self._image.meter_sample(meter.id, sample)

    def _missed(self, miss: Miss) -> None:
        for meter in self._meters:
            self._image.meter_missed(meter.id, miss.detail)
