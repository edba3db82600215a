"""Which simulated device stands for which profile, told by the profile's name alone."""

from typing import Final, NoReturn, Protocol

from edgectl.errors import BadInput, Finding
from edgectl.model.site import Evse, Meter, Site
from edgectl.simulator.device.charge_point import ChargePoint
from edgectl.simulator.device.charx import CharxSec
from edgectl.simulator.device.heidelberg import HeidelbergControl
from edgectl.simulator.device.hypercharger import Hypercharger
from edgectl.simulator.device.keba_p40 import KebaP40
from edgectl.simulator.device.serial_meters import AbbB23, Sdm630
from edgectl.simulator.device.simulated_device import Charger
from edgectl.simulator.device.simulated_meters import Em24E1, Umg96rm
from edgectl.simulator.device.webasto_next import WebastoNext

SimulatedMeter = Umg96rm | Em24E1 | Sdm630 | AbbB23

# Where a station's own fallback is not in the site file: what one operator saw.
_FALLBACK_S: Final = 5.0


class ChargerOf(Protocol):
    """Builds the charger of an EVSE around its charge points, connector 1 first."""

    def __call__(
        self, evse: Evse, points: tuple[ChargePoint, ...], /, *, voltage_v: float
    ) -> Charger:
        """Give the device."""


def is_dc(evse: Evse) -> bool:
    """Tell whether an EVSE's charger hands out direct current."""
    return "hyc" in evse.profile.lower()


def simulated_charger(evse: Evse, points: tuple[ChargePoint, ...], *, voltage_v: float) -> Charger:
    """Build the charger of an EVSE around its charge points, connector 1 first."""
    profile, boot_a = evse.profile.lower(), evse.traits.boot_a
    if "charx" in profile:
        return CharxSec(points, boot_a=boot_a, voltage_v=voltage_v)
    if "keba" in profile:
        return KebaP40(points[0], boot_a=boot_a, voltage_v=voltage_v)
    if "webasto" in profile:
        return WebastoNext(points[0], boot_a=boot_a)
    if "heidelberg" in profile:
        return HeidelbergControl(points[0], boot_a=boot_a, voltage_v=voltage_v)
    if "hyc" in profile:
        return Hypercharger(
            points,
            boot_a=boot_a,
            voltage_v=voltage_v,
            fallback_a=evse.traits.failsafe_a,
            timeout_s=evse.traits.watchdog_s or _FALLBACK_S,
        )
    return _unknown(evse.id, evse.profile)


def simulated_meter(meter: Meter) -> SimulatedMeter:
    """Build the meter device of a meter."""
    profile = meter.profile.lower()
    if "umg96" in profile:
        return Umg96rm()
    if "em24" in profile:
        return Em24E1()
    if "sdm630" in profile:
        return Sdm630()
    if "b23" in profile:
        return AbbB23()
    return _unknown(meter.id, meter.profile)


def refuse_unknown(site: Site, charger_of: ChargerOf = simulated_charger) -> None:
    """Raise BadInput where the site names something that has no simulated counterpart."""
    devices: tuple[Evse | Meter, ...] = (*site.evses, *site.meters)
    for device in devices:
        if device.address_offset or device.word_order is not None:
            raise _bad(
                device.id,
                "simulated devices know no address_offset and no word_order",
                "leave these overrides out of the site file for a simulation",
            )
    for evse in site.evses:
        charger_of(evse, (ChargePoint(terminals=3, max_a=32.0),), voltage_v=site.voltage_v)
    for meter in site.meters:
        simulated_meter(meter)


def _unknown(device: str, profile: str) -> NoReturn:
    raise _bad(
        device,
        f"there is no simulated device for the profile {profile!r}",
        "simulated are the alpitronic hypercharger, Heidelberg Energy Control, KEBA P40, Phoenix "
        "Contact CHARX SEC, Webasto NEXT and the meters ABB B23, Carlo Gavazzi EM24 E1, Eastron "
        "SDM630, Janitza UMG 96RM: name one of their profiles",
    )


def _bad(device: str, message: str, remedy: str) -> BadInput:
    return BadInput(
        [
            Finding(
                file="site file",
                line=0,
                path=device,
                code="not_simulated",
                message=message,
                remedy=remedy,
            )
        ]
    )
