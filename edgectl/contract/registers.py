"""A register's answer in the form of the local API; also used where a device is asked alone."""

from collections.abc import Sequence

from edgectl.contract.local_tool import RegisterAnswer
from edgectl.devices.asking import Question
from edgectl.devices.codec import Bad
from edgectl.devices.reads import ReadBatch, decode
from edgectl.model.modbus import Function


def register_answer(
    asked: Question, batch: ReadBatch, words: Sequence[int], *, guarded: str | None
) -> RegisterAnswer:
    """Say what the words mean."""
    ((name, value),) = decode(batch, words).items()
    point = batch.points[0].point
    return RegisterAnswer(
        device=asked.device.id,
        link=asked.device.link,
        name=name,
        kind="input" if batch.request.function is Function.READ_INPUT else "holding",
        unit_id=batch.request.unit,
        address=batch.request.address,
        words=list(words),
        value=None if isinstance(value, Bad) else value,
        bad=value.why if isinstance(value, Bad) else None,
        unit=point.unit,
        means=asked.means,
        writable=asked.point.writable,
        guarded=guarded if asked.point.writable else None,
    )
