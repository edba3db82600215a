"""How fast the way to the region goes: bounds of connecting and of sending."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Bounds of the connection loop and of sending.

    A pause lies between `backoff_least` of the back-off and all of it. A connection that lasted
    `stable_s` ends the back-off. `in_flight`: rows of the live lane that wait for their PUBACK at
    once. `denied_retry_s`: until a refused row is offered again, `denied_tries` times at most;
    `greeting_retry_s`: until a refused part of the greeting is offered again; `hang_ups_doubted`,
    `hang_ups_proven`, `probe_every_s`: see `refusals`. `storage_retry_s`: until an outbox that
    failed is read again. `flush_s`: how long a stop waits for the live lane.
    """

    backoff_first_s: float = 10.0
    backoff_least: float = 0.1
    backoff_cap_s: float = 60.0
    stable_s: float = 30.0
    in_flight: int = 50
    backfill_rows_per_s: float = 50.0
    backfill_chunk: int = 10
    denied_retry_s: float = 30.0
    denied_tries: int = 20
    greeting_retry_s: float = 120.0
    hang_ups_doubted: int = 3
    hang_ups_proven: int = 8
    probe_every_s: float = 3600.0
    storage_retry_s: float = 5.0
    let_go_every_s: float = 10.0
    flush_s: float = 3.0
