"""Throws mutated commands and events at both desks and judges every answer by what was signed.

1. The judge knows nothing of the product: it keeps a register of what the issuers signed, and asks
   of every acceptance whether exactly that was signed by a key of its issuer, for this site, for
   this moment, with a number above the issuer's last one, and never taken before.
2. Good commands are among the inputs and must be taken, or nothing would be shown.
3. Everything comes from one seed.
"""

import base64
import copy
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from edgectl.clock import Instant
from edgectl.contract.commands import CommandResponse
from edgectl.contract.dr import DrResponse
from edgectl.contract.envelope import rfc3339
from edgectl.daemon.desk.commands import CommandDesk
from edgectl.daemon.desk.events import EventDesk
from edgectl.model.settings import Unsigned
from edgectl.model.site import Program
from edgectl.model.store import Document
from edgectl.model.trust import Connection
from edgectl.simulator.memory.store import MemoryStore
from edgectl.units import ProgramId
from tests.commands.signer import FIRST, OTHER, SECOND, Signer, Trusted, b64, seals
from tests.grid.samples import at, with_program

PROGRAM: Final = Program(
    id=ProgramId("prog-1"), mandatory=True, signed=True, default_unit="KW", reference_w=1e5
)
SITE: Final = with_program(PROGRAM)
START_S: Final = at("12:00")
VERBS: Final = ("limit", "pause", "resume", "target", "release")
HOSTILE: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    -1,
    1e308,
    -0.0,
    2**63,
    10**30,
    "",
    "x" * 300,
    "\u0000",
    "\ud83d\ude00",
    [],
    {},
    [[]],
    {"x": 1},
    "2026-11-24T12:00:00Z",
    "9999-12-31T23:59:59Z",
    "PT0S",
)


@dataclass
class Signed:
    """What an issuer signed: good for whom, when, with which number."""

    good: bool
    nbf: float
    exp: float
    seq: int | None
    verb: str
    taken: bool = False


@dataclass
class Range:
    """The desks under fire, the register of the judge, and the counts of a run."""

    seed: int
    rng: random.Random = field(init=False)
    now_s: float = START_S
    seq: int = 0
    last_seq: int = -1
    number: int = 0
    register: dict[str, Signed] = field(default_factory=dict)
    accepted_bytes: dict[bytes, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    said: list[DrResponse] = field(default_factory=list)
    pool: list[tuple[str, bytes]] = field(default_factory=list)
    commands: CommandDesk = field(init=False)
    events: EventDesk = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        store = MemoryStore()
        trusted = seals(Trusted(programs=("prog-1",)))
        self.commands = CommandDesk(
            site=SITE,
            store=store,
            unsigned=Unsigned.NEVER,
            reply=self._reply,
            audit=self._audit,
            seals=trusted,
        )
        self.events = EventDesk(
            site=SITE,
            store=store,
            unsigned=Unsigned.NEVER,
            draw=self.rng.random,
            reply=self._say,
            audit=self._audit,
            seals=trusted,
        )

    async def _reply(self, _name: str, _body: CommandResponse) -> None:
        return

    async def _say(self, _name: str, body: DrResponse) -> None:
        self.said.append(body)

    def _audit(self, record: Document) -> None:
        json.dumps(record)

    def now(self) -> Instant:
        return Instant(mono_s=self.now_s - START_S + 1.0, utc_s=self.now_s, utc_trusted=True)

    async def run(self, inputs: int, progress: Callable[[int], None] = lambda _: None) -> None:
        """Raises AssertionError with the input that was wrongly taken."""
        await self.commands.load(self.now())
        await self.events.load(self.now())
        for count in range(inputs):
            if count % 40 == 0:
                self.now_s += 3.0
                await self.commands.tick(self.now())
                await self.events.tick(self.now())
                if len(self.register) > 4000:
                    self._forget()
            if self.rng.random() < 0.7:
                await self._command()
            else:
                await self._event()
            if count % 50_000 == 0:
                progress(count)

    async def _command(self) -> None:
        topic, message, must = self._made_command()
        answer = await self.commands.handle(
            f"command/{topic}",
            message,
            retained=False,
            connection=Connection.LOOPBACK,
            now=self.now(),
        )
        assert answer is not None
        word = answer.result.value
        self.counts[f"command {answer.code.value if answer.code else word}"] += 1
        if word == "rejected":
            assert answer.code, (topic, message)
            assert answer.remedy, (topic, message)
            assert not must, (topic, message, answer)
        elif word == "duplicate":
            assert self.accepted_bytes.get(message) == topic, (topic, message)
        else:
            signed = self._judge(message, topic)
            assert signed.seq is not None, (topic, message)
            assert signed.seq > self.last_seq, (topic, message, "replayed")
            assert not signed.taken, (topic, message, "taken twice")
            self.last_seq = signed.seq
            signed.taken = True
            self.accepted_bytes[message] = topic

    async def _event(self) -> None:
        name, message, must = self._made_event()
        before = len(self.said)
        await self.events.handle(
            name,
            message,
            retained=self.rng.random() < 0.5,
            connection=Connection.LOOPBACK,
            now=self.now(),
        )
        answers = self.said[before:]
        words = [one.state.value for one in answers]
        self.counts[f"event {words[-1] if words else 'no answer'}"] += 1
        if "received" in words or "cancelled" in words:
            known = answers[-1].message != "the event was not held here"
            if known:
                self._judge(message, "event")
        assert not must or "received" in words, (name, message, answers)
        del self.said[:]

    def _judge(self, message: bytes, verb: str) -> Signed:
        """What was signed under this message; an AssertionError if nothing good was."""
        signed = self.register.get(_signed_part(message))
        assert signed is not None, (verb, message, "nobody signed this")
        assert signed.good, (verb, message, "not signed as it must be")
        assert signed.nbf - 30.0 <= self.now_s < signed.exp, (verb, message, "not its time")
        assert signed.verb == verb, (verb, message, "signed for something else")
        return signed

    # What is thrown.

    def _made_command(self) -> tuple[str, bytes, bool]:
        kind = self.rng.random()
        verb = self.rng.choice(VERBS)
        if kind < 0.08:
            message = self._sign(verb, self._command_body(verb))
            self._keep(verb, message)
            return verb, message, verb in {"limit", "pause", "target"}
        if kind < 0.50 and self.pool:
            topic, message = self.rng.choice(self.pool)
            return self._maybe_other(topic), self._bent(message), False
        if kind < 0.58 and self.pool:
            topic, message = self.rng.choice(self.pool)
            return self._maybe_other(topic), message, False
        body = self._command_body(verb)
        if kind < 0.75:
            self._spoil(body)
            return verb, self._sign(verb, body, judged=False), False
        if kind < 0.80:
            return verb, json.dumps(body).encode(), False
        return verb, self._badly_signed(verb, body), False

    def _made_event(self) -> tuple[str, bytes, bool]:
        kind = self.rng.random()
        body = self._event_body()
        name = f"dr/event/{body['id']}"
        if kind < 0.10:
            message = self._sign("event", body)
            self._keep(name, message)
            return name, message, True
        if kind < 0.55 and self.pool:
            topic, message = self.rng.choice(self.pool)
            place = topic if topic.startswith("dr/") else name
            return self.rng.choice((place, "dr/event", "dr/index")), self._bent(message), False
        if kind < 0.75:
            self._spoil(body)
            return name, self._sign("event", body, judged=False), False
        if kind < 0.80:
            return name, self.rng.choice((b"", json.dumps(body).encode())), False
        if kind < 0.85:
            index = {"made_at": rfc3339(self.now_s), "events": {}}
            return "dr/index", json.dumps(index).encode(), False
        return name, self._badly_signed("event", body), False

    def _command_body(self, verb: str) -> dict[str, Any]:
        self.number += 1
        common = {
            "command_id": f"c-{self.number}",
            "issuer": "utility-x",
            "made_at": rfc3339(self.now_s),
            "expires_at": rfc3339(self.now_s + 5.0),
            "reason": "fuzz",
            "verb": verb,
        }
        own: dict[str, dict[str, Any]] = {
            "limit": {"node": "grid", "limit_w": 50_000, "duration_s": 2},
            "pause": {"evse": "bay01", "duration_s": 2},
            "resume": {"evse": "bay01"},
            "target": {
                "evse": "bay01",
                "energy_wh": 1000,
                "departure": rfc3339(self.now_s + 3.0),
            },
            "release": {"target_command_id": f"c-{max(1, self.number - 3)}"},
        }
        return common | own[verb] | self._claims()

    def _event_body(self) -> dict[str, Any]:
        self.number += 1
        return {
            "id": f"e-{self.rng.randrange(200)}",
            "programID": "prog-1",
            "modificationDateTime": rfc3339(self.now_s + self.number * 1e-3),
            "intervalPeriod": {"start": rfc3339(self.now_s), "duration": "PT2S"},
            "intervals": [
                {"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [50]}]}
            ],
        } | self._claims()

    def _claims(self) -> dict[str, Any]:
        self.seq += 1
        return {
            "iss": "utility-x",
            "aud": "depot-north",
            "nbf": self.now_s - 1.0,
            "exp": self.now_s + 6.0,
            "seq": self.seq,
        }

    def _sign(
        self,
        verb: str,
        body: dict[str, Any],
        *,
        signer: Signer | None = None,
        good: bool = True,
        judged: bool = True,
        **header: Any,
    ) -> bytes:
        """Sign and enter it in the register. `judged` False: what it says may be anything."""
        signer = signer or self.rng.choice((FIRST, SECOND))
        if not header and self.rng.random() < 0.25:
            message = signer.sign_json(body, general=self.rng.random() < 0.5)
        else:
            message = signer.sign(body, **header)
        if not judged:
            good = _claims_are_good(body)
            verb = verb if body.get("verb") in (None, verb) or verb == "event" else "?"
        self.register[_signed_part(message)] = Signed(
            good=good,
            nbf=_number(body.get("nbf")),
            exp=_number(body.get("exp")),
            seq=body.get("seq") if isinstance(body.get("seq"), int) else None,
            verb=verb,
        )
        return message

    def _badly_signed(self, verb: str, body: dict[str, Any]) -> bytes:
        match self.rng.randrange(10):
            case 0:
                return self._sign(verb, body, signer=OTHER, good=False)
            case 1:
                return self._sign(verb, body | {"iss": "nobody"}, good=False)
            case 2:
                return self._sign(verb, body | {"aud": "depot-south"}, good=False)
            case 3:
                past = {"nbf": self.now_s - 99.0, "exp": self.now_s - self.rng.random()}
                return self._sign(verb, body | past)
            case 4:
                later = {"nbf": self.now_s + 31.0, "exp": self.now_s + 99.0}
                return self._sign(verb, body | later)
            case 5:
                old = {"seq": self.rng.randrange(max(1, self.last_seq + 1))}
                return self._sign(verb, body | old)
            case 6:
                return self._sign(
                    verb, body, good=False, alg=self.rng.choice(("none", "HS256", "ES384", ""))
                )
            case 7:
                return self._sign(verb, body, good=False, kid=self.rng.choice(("k9", None, 7)))
            case 8:
                unsecured = b64(b'{"alg":"none"}') + "." + b64(json.dumps(body).encode()) + "."
                return unsecured.encode()
            case _:
                return self._sign(verb, body, good=False, crit=["exp"])

    def _spoil(self, body: dict[str, Any]) -> None:
        for _ in range(self.rng.randint(1, 3)):
            place: Any = body
            while True:
                keys = list(place) if isinstance(place, dict) else list(range(len(place)))
                if not keys:
                    break
                key = self.rng.choice(keys)
                inner = place[key]
                if isinstance(inner, dict | list) and inner and self.rng.random() < 0.7:
                    place = inner
                    continue
                if isinstance(place, dict) and self.rng.random() < 0.2:
                    del place[key]
                else:
                    place[key] = copy.deepcopy(self.rng.choice(HOSTILE))
                break

    def _bent(self, message: bytes) -> bytes:
        made = bytearray(message)
        for _ in range(self.rng.randint(1, 4)):
            place = self.rng.randrange(len(made) + 1)
            match self.rng.randrange(7):
                case 0 if place < len(made):
                    made[place] ^= 1 << self.rng.randrange(8)
                case 1:
                    made.insert(place, self.rng.choice(b'ABab09-_.{}"[],: \n\x00\xff'))
                case 2 if place < len(made):
                    del made[place]
                case 3:
                    del made[place:]
                case 4:
                    _, other = self.rng.choice(self.pool)
                    made[place:] = other[place:]
                case 5:
                    end = min(len(made), place + self.rng.randrange(1, 40))
                    made[place:place] = made[place:end]
                case _:
                    if place < len(made):
                        made[place] = self.rng.randrange(256)
            if not made:
                made.extend(b"{")
        return bytes(made)

    def _maybe_other(self, topic: str) -> str:
        if topic.startswith("dr/") or self.rng.random() < 0.3:
            return self.rng.choice((*VERBS, "unlimit", ""))
        return topic

    def _keep(self, topic: str, message: bytes) -> None:
        self.pool.append((topic, message))
        if len(self.pool) > 60:
            self.pool.pop(self.rng.randrange(len(self.pool)))

    def _forget(self) -> None:
        """What has expired cannot be taken any more; a register of everything would not fit."""
        self.register = {k: s for k, s in self.register.items() if s.exp > self.now_s - 200.0}
        if len(self.accepted_bytes) > 5000:
            self.accepted_bytes = dict(list(self.accepted_bytes.items())[-2000:])


def _signed_part(message: bytes) -> str:
    """Header and payload as they were signed, in whatever form they came."""
    text = message.strip()
    if text.startswith(b"{"):
        try:
            body = json.loads(text)
            one = body["signatures"][0] if "signatures" in body else body
            return f"{one['protected']}.{body['payload']}"
        except (ValueError, KeyError, TypeError, IndexError):
            return ""
    return text.decode("latin-1").rpartition(".")[0]


def _claims_are_good(body: dict[str, Any]) -> bool:
    for name in ("nbf", "exp"):
        if isinstance(body.get(name), bool) or not isinstance(body.get(name), int | float):
            return False
    return body.get("iss") == "utility-x" and body.get("aud") == "depot-north"


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def payload_of(message: bytes) -> dict[str, Any]:
    """For people who look at a finding."""
    part = _signed_part(message).rpartition(".")[2]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found
