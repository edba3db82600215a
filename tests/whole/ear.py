"""A line that notes what is asked on it."""

from dataclasses import dataclass, field

from edgectl.model.modbus import Answer, Function, Line, Miss, Request


@dataclass
class Ear:
    """Hands everything on. `asked`: every request, in order; others may listen into the same."""

    line: Line
    asked: list[Request] = field(default_factory=list)

    @property
    def written(self) -> list[tuple[int, tuple[int, ...]]]:
        """Address and words of every write."""
        writes = {Function.WRITE_SINGLE, Function.WRITE_MULTIPLE}
        return [(one.address, one.words) for one in self.asked if one.function in writes]

    async def open(self, *, timeout_s: float) -> Miss | None:
        return await self.line.open(timeout_s=timeout_s)

    async def exchange(self, request: Request, *, timeout_s: float) -> Answer | Miss:
        self.asked.append(request)
        return await self.line.exchange(request, timeout_s=timeout_s)

    async def close(self) -> None:
        await self.line.close()
