"""What every Modbus line makes of requests and answers, whatever frames them."""

from typing import Final

from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from edgectl.errors import invariant
from edgectl.model.modbus import Answer, Function, Miss, MissCause, Request

_READS: Final = frozenset({Function.READ_HOLDING, Function.READ_INPUT})

_REQUESTS: Final[dict[Function, type[ModbusPDU]]] = {
    Function.READ_HOLDING: ReadHoldingRegistersRequest,
    Function.READ_INPUT: ReadInputRegistersRequest,
    Function.WRITE_SINGLE: WriteSingleRegisterRequest,
    Function.WRITE_MULTIPLE: WriteMultipleRegistersRequest,
}


def pdu_of(request: Request) -> ModbusPDU:
    """Give pymodbus's form of a request; one of no valid size is a fault of ours."""
    reads = request.function in _READS
    most = 125 if reads else 123
    size = request.count if reads else len(request.words)
    invariant(1 <= size <= most, f"{request} asks for no valid number of registers")
    return _REQUESTS[request.function](
        dev_id=request.unit,
        address=request.address,
        count=size,
        registers=list(request.words),
    )


def judged(
    request: Request, response: ModbusPDU, *, sent_s: float, received_s: float
) -> Answer | Miss:
    """Make a readable answer from the right unit an `Answer`, or say why it is none."""
    cause, detail, code = MissCause.GARBLED, "", None
    if isinstance(response, ExceptionResponse):
        function = response.function_code & 0x7F
        if function == request.function:
            cause, code = MissCause.EXCEPTION, response.exception_code
            detail = f"the device answered with exception {code}"
        else:
            detail = f"an exception of function {function}"
    else:
        detail = _wrong(request, response)
    if detail:
        return Miss(
            cause=cause, sent_s=sent_s, received_s=received_s, detail=detail, exception_code=code
        )
    words = tuple(response.registers) if request.function in _READS else ()
    return Answer(words=words, sent_s=sent_s, received_s=received_s)


def _wrong(request: Request, response: ModbusPDU) -> str:
    """Say what is wrong with a readable answer to its request; empty when nothing is."""
    if response.function_code != request.function:
        return f"an answer of function {response.function_code} to function {request.function}"
    match request.function:
        case Function.READ_HOLDING | Function.READ_INPUT:
            echo: object = len(response.registers)
            asked: object = request.count
        case Function.WRITE_SINGLE:
            echo = (response.address, tuple(response.registers))
            asked = (request.address, request.words)
        case Function.WRITE_MULTIPLE:
            echo = (response.address, response.count)
            asked = (request.address, len(request.words))
    if echo == asked:
        return ""
    return f"an answer for {echo} where {asked} was asked for"
