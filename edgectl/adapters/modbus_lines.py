"""The line of a link, by its kind."""

from edgectl.adapters.modbus import TcpLine
from edgectl.adapters.modbus_rtu import rtu_over_tcp_line, serial_line
from edgectl.model.modbus import Line
from edgectl.model.ports import Clock
from edgectl.model.serial_line import SerialLine
from edgectl.model.site import Link, LinkKind


def line_of(link: Link, clock: Clock) -> Line:
    """Make the line of a link; nothing is opened yet."""
    wire = link.serial or SerialLine()
    match link.kind:
        case LinkKind.TCP:
            return TcpLine(host=link.host, port=link.port, clock=clock)
        case LinkKind.RTU:
            return serial_line(device=link.device, wire=wire, clock=clock)
        case LinkKind.RTU_OVER_TCP:
            return rtu_over_tcp_line(host=link.host, port=link.port, wire=wire, clock=clock)
