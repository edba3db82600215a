"""One daemon after the other in one process: the next one takes over when the site file changes.

If the next one cannot even be put together, the site before is taken up again: a fault of ours in
a new file must not leave the chargers alone.
"""

from collections.abc import Awaitable, Callable

from edgectl.daemon.assemble import Ports, assemble
from edgectl.daemon.handover import Handover
from edgectl.daemon.lifecycle import Daemon
from edgectl.daemon.reload import Reloader
from edgectl.sitefile.load import LoadedSite


async def run_in_succession(
    reloader: Reloader,
    ports: Ports,
    *,
    version: str,
    fit: Callable[[Ports, LoadedSite], Awaitable[Ports]],
    steer: Callable[[Daemon], None],
) -> None:
    """Run until a daemon is stopped; raises what broke it.

    `fit` makes the ports those of another site; `steer` is told which daemon runs.
    """
    before: Handover | None = None
    while True:
        try:
            daemon = assemble(
                reloader.loaded, ports, version=version, before=before, reloader=reloader
            )
        except Exception as fault:
            if before is None or reloader.loaded is before.loaded:
                raise
            reloader.give_back(before.loaded, fault)
            ports = await fit(ports, before.loaded)
            continue
        steer(daemon)
        if not await daemon.run():
            return
        before = daemon.handover()
        reloader.taken_up()
        ports = await fit(ports, reloader.loaded)
