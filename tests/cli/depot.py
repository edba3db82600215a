"""Runs the tool against a depot that is served on a real socket."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgectl.adapters.local_socket import LocalSocket
from edgectl.cli.main import main
from edgectl.contract.local import MqttStatus
from edgectl.daemon.api import Act, LocalApi, Look, Rights
from edgectl.model.local_api import Handler, HttpRequest, HttpResponse
from edgectl.model.store import Document
from tests.api.world import FakeDesk, FixedClock, FixedFacts, Journal


def api(
    *,
    facts: FixedFacts | None = None,
    desk: FakeDesk | None = None,
    daemon_uid: int = 0,
    looks: Mapping[str, Look] | None = None,
    acts: Mapping[str, Act] | None = None,
    mqtt: MqttStatus | None = None,
    dr: Sequence[Document] = (),
) -> LocalApi:
    return LocalApi(
        facts=facts or FixedFacts(),
        desk=desk or FakeDesk(),
        clock=FixedClock(),
        rights=Rights(daemon_uid=daemon_uid, group_id=lambda _: None),
        version="1.2.3",
        mqtt=lambda: mqtt or MqttStatus(connected=True, backlog=0),
        dr=lambda: list(dr),
        looks=looks,
        acts=acts,
        log=Journal().log(),
    )


def tool(folder: Path, *words: str, handler: Handler | None = None) -> int:
    """Run the tool with these words while the handler serves; its exit code."""

    async def both() -> int:
        path = folder / "edgectl.sock"
        server = LocalSocket(path)
        server.open()
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            serving = group.create_task(server.serve(handler or api().handle), name="server")
            code = await asyncio.to_thread(main, [*words, "--socket", str(path)])
            serving.cancel()
        server.close()
        return code

    return asyncio.run(both())


def answering(status: int, value: object) -> Handler:
    """Answer everything alike."""

    async def answer(_: HttpRequest) -> HttpResponse:
        return HttpResponse(status, value)

    return answer
