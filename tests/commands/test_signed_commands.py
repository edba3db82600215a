"""Signed commands: whose they are, what they may do, and that none is taken twice."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from edgectl.contract.commands import CommandResponse
from edgectl.daemon.desk.commands import CommandDesk
from edgectl.model.ceiling import Rank
from edgectl.model.settings import Unsigned
from edgectl.model.trust import Connection
from tests.commands.signer import FIRST, OTHER, SECOND, Signer, Trusted, claims, seals
from tests.commands.test_command_desk import Desk
from tests.grid.samples import SITE

Scenario = Callable[["SignedDesk"], Coroutine[Any, Any, None]]
WEAK = Trusted(
    id="operator-y",
    rank=Rank.OPERATOR,
    may=("limit", "release"),
    nodes=("tx1",),
    min_limit_a=10.0,
    signers=(Signer("y1", number=5),),
)


class SignedDesk(Desk):
    """A desk that knows two issuers and takes nothing unsigned."""

    def __post_init__(self) -> None:
        self.unsigned = Unsigned.NEVER
        self.desk = CommandDesk(
            site=SITE,
            store=self.store,
            unsigned=self.unsigned,
            reply=self.reply,
            audit=self.audited.append,
            seals=seals(Trusted(), WEAK),
        )

    async def send_raw(self, verb: str, payload: bytes) -> str:
        answer = await self.desk.handle(
            f"command/{verb}",
            payload,
            retained=False,
            connection=Connection.OTHER,
            now=self.now(),
        )
        return said(answer)

    async def sign(
        self,
        topic: str,
        /,
        *,
        signer: Signer = FIRST,
        header: dict[str, Any] | None = None,
        claim: dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        word = changes.pop("verb", "resume" if topic == "resume" else None)
        body = self.body(topic, **changes) | claims(self.utc_s, **(claim or {}))
        if word is not None:
            body["verb"] = word
        return await self.send_raw(topic, signer.sign(body, **(header or {})))


def said(answer: CommandResponse | None) -> str:
    assert answer is not None
    return answer.result.value + (f":{answer.code.value}" if answer.code else "")


def run(scenario: Scenario) -> SignedDesk:
    desk = SignedDesk()

    async def main() -> None:
        await desk.desk.load(desk.now())
        await scenario(desk)

    asyncio.run(main())
    return desk


@pytest.mark.parametrize("signer", [FIRST, SECOND], ids=["EdDSA", "ES256"])
def test_a_signed_command_has_the_rank_of_its_issuer(signer: Signer) -> None:
    async def scenario(d: SignedDesk) -> None:
        assert await d.sign("limit", signer=signer) == "accepted"
        assert [c.holder.rank for c in d.desk.ceilings()] == [Rank.UTILITY_MANDATORY]
        assert d.audited[-1]["actor"] == "issuer:utility-x"

    run(scenario)


@pytest.mark.parametrize("general", [False, True])
def test_the_json_form_is_taken(*, general: bool) -> None:
    async def scenario(d: SignedDesk) -> None:
        body = d.body("limit") | claims(d.utc_s)
        assert await d.send_raw("limit", FIRST.sign_json(body, general=general)) == "accepted"

    run(scenario)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "foreign key of the same name": ({"signer": OTHER}, "bad_signature"),
    "unknown kid": ({"header": {"kid": "k9"}}, "bad_signature"),
    "no kid among two keys": ({"header": {"kid": None}}, "bad_signature"),
    "other algorithm than the key's": ({"header": {"alg": "ES256"}}, "bad_signature"),
    "alg none": ({"header": {"alg": "none"}}, "bad_signature"),
    "HS256 with the public key": ({"header": {"alg": "HS256"}}, "bad_signature"),
    "critical extension": ({"header": {"crit": ["exp"]}}, "malformed"),
    "unencoded payload": ({"header": {"b64": False}}, "malformed"),
    "unknown issuer": ({"claim": {"iss": "nobody"}}, "unknown_issuer"),
    "another site": ({"claim": {"aud": "depot-south"}}, "wrong_audience"),
    "no audience": ({"claim": {"aud": None}}, "malformed"),
    "no nbf": ({"claim": {"nbf": None}}, "malformed"),
    "no exp": ({"claim": {"exp": None}}, "malformed"),
    "text as exp": ({"claim": {"exp": "tomorrow"}}, "malformed"),
    "no seq": ({"claim": {"seq": None}}, "malformed"),
    "negative seq": ({"claim": {"seq": -1}}, "malformed"),
    "true as seq": ({"claim": {"seq": True}}, "malformed"),
    "another issuer in the command": ({"issuer": "utility-z"}, "malformed"),
    "another verb": ({"verb": "pause"}, "malformed"),
    "unknown node": ({"node": "tx9"}, "unknown_target"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    changes, code = REFUSED[name]

    async def scenario(d: SignedDesk) -> None:
        assert await d.sign("limit", **changes) == f"rejected:{code}"
        assert d.desk.ceilings() == ()
        assert d.audited[-1]["result"] == code
        assert await d.sign("limit") == "accepted", "a refusal uses nothing up"

    run(scenario)


def test_validity_is_checked_with_the_clock() -> None:
    async def scenario(d: SignedDesk) -> None:
        past = {"nbf": d.utc_s - 600, "exp": d.utc_s}
        assert await d.sign("limit", claim=past) == "rejected:expired"
        early = {"nbf": d.utc_s + 31, "exp": d.utc_s + 600}
        assert await d.sign("limit", claim=early) == "rejected:not_yet_valid"
        backwards = {"nbf": d.utc_s + 10, "exp": d.utc_s + 10}
        assert await d.sign("limit", claim=backwards) == "rejected:malformed"
        several = {"aud": ["depot-south", "depot-north"], "nbf": d.utc_s + 29}
        assert await d.sign("limit", claim=several) == "accepted"

    run(scenario)


def test_every_changed_byte_is_noticed() -> None:
    async def scenario(d: SignedDesk) -> None:
        good = FIRST.sign(d.body("limit") | claims(d.utc_s))
        for place in range(0, len(good), 7):
            other = b"A" if good[place : place + 1] != b"A" else b"B"
            bad = good[:place] + other + good[place + 1 :]
            assert (await d.send_raw("limit", bad)).startswith("rejected:")
        assert d.desk.ceilings() == ()
        assert await d.send_raw("limit", good) == "accepted"

    run(scenario)


def test_the_sequence_goes_up_and_survives_a_restart() -> None:
    async def scenario(d: SignedDesk) -> None:
        assert await d.sign("limit", claim={"seq": 5}) == "accepted"
        assert await d.sign("limit", command_id="b", claim={"seq": 5}) == "rejected:replayed"
        assert await d.sign("limit", command_id="c", claim={"seq": 4}) == "rejected:replayed"
        for again in (False, True):
            if again:  # long after everything has expired and is forgotten
                await d.later(100_000.0)
                await d.later(1.0)
                assert await d.store.load_all("command") == {}
            d.__post_init__()
            await d.desk.load(d.now())
            assert await d.sign("limit", command_id="d", claim={"seq": 5}) == "rejected:replayed"
        assert await d.sign("limit", command_id="e", claim={"seq": 6}) == "accepted"

    run(scenario)


def test_a_repeat_gets_the_first_answer_though_its_number_is_used() -> None:
    async def scenario(d: SignedDesk) -> None:
        payload = FIRST.sign(d.body("limit") | claims(d.utc_s))
        assert await d.send_raw("limit", payload) == "accepted"
        assert await d.sign("limit", command_id="b", claim={"seq": 2}) == "accepted"
        assert await d.send_raw("limit", payload) == "duplicate"
        other = FIRST.sign(d.body("limit", reason="other") | claims(d.utc_s, seq=3))
        assert await d.send_raw("limit", other) == "rejected:replayed"

    run(scenario)


def test_a_command_that_could_not_be_kept_uses_no_number_up() -> None:
    async def scenario(d: SignedDesk) -> None:
        d.store.full = True
        assert await d.sign("limit") == "rejected:not_stored"
        d.store.full = False
        assert await d.sign("limit") == "accepted"

    run(scenario)


def test_each_issuer_has_its_own_sequence() -> None:
    async def scenario(d: SignedDesk) -> None:
        assert await d.sign("limit", claim={"seq": 9}) == "accepted"
        weak: dict[str, Any] = {"signer": WEAK.signers[0], "claim": {"iss": "operator-y", "seq": 1}}
        allowed: dict[str, Any] = {
            "issuer": "operator-y",
            "command_id": "y",
            "node": "tx1",
            "limit_a": [10.0],
        }
        assert await d.sign("limit", **weak, **allowed, limit_w=None) == "accepted"

    run(scenario)


RIGHTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "another verb": ("pause", {}, "not_permitted"),
    "above its node": ("limit", {"node": "grid", "limit_a": [20.0]}, "not_permitted"),
    "below its lowest": ("limit", {"node": "tx1", "limit_a": [9.9]}, "not_permitted"),
    "one phase below": ("limit", {"node": "tx1", "limit_a": [20.0, 9.0, 20.0]}, "not_permitted"),
    "in watts below": ("limit", {"node": "tx1", "limit_w": 6_899.0}, "not_permitted"),
    "in watts": ("limit", {"node": "tx1", "limit_w": 6_900.0}, ""),
    "an EVSE below its node": ("limit", {"evse": "bay02", "limit_a": [10.0]}, ""),
    "an EVSE with one phase": ("limit", {"evse": "bay02", "limit_w": 2_299.0}, "not_permitted"),
}


@pytest.mark.parametrize("name", RIGHTS)
def test_an_issuer_may_what_the_site_file_says(name: str) -> None:
    verb, changes, code = RIGHTS[name]
    fields = {"node": None, "evse": "bay01", "limit_a": None, "limit_w": None} | changes
    if "node" in changes:
        fields["evse"] = None

    async def scenario(d: SignedDesk) -> None:
        got = await d.sign(
            verb,
            signer=WEAK.signers[0],
            claim={"iss": "operator-y"},
            **(fields | {"issuer": "operator-y"}),
        )
        assert got == (f"rejected:{code}" if code else "accepted")

    run(scenario)


def test_a_signed_pause_moved_to_another_topic_resumes_nothing() -> None:
    """Both have the same fields; only what is signed can tell them apart."""

    async def scenario(d: SignedDesk) -> None:
        assert await d.sign("pause") == "accepted"
        pause = FIRST.sign(d.body("pause", command_id="p2") | claims(d.utc_s, seq=2))
        assert await d.send_raw("resume", pause) == "rejected:malformed"
        named = d.body("pause", command_id="p3") | claims(d.utc_s, seq=3) | {"verb": "pause"}
        assert await d.send_raw("resume", FIRST.sign(named)) == "rejected:malformed"
        assert len(d.desk.ceilings()) == 1
        assert await d.sign("resume", claim={"seq": 4}) == "accepted"
        assert d.desk.ceilings() == ()

    run(scenario)


def test_unsigned_is_refused_and_a_broken_signature_is_never_unsigned() -> None:
    async def scenario(d: SignedDesk) -> None:
        body = d.body("limit")
        assert await d.send_raw("limit", json.dumps(body).encode()) == "rejected:unsigned"
        both = json.dumps(body | {"payload": "e30", "signature": ""}).encode()
        assert (await d.send_raw("limit", both)).startswith("rejected:")
        assert d.desk.ceilings() == ()

    run(scenario)


def test_without_a_trusted_clock_a_signed_limit_is_taken_and_nothing_that_leaves_more() -> None:
    async def scenario(d: SignedDesk) -> None:
        d.trusted = False
        old = {"nbf": 1.0, "exp": 2.0}
        assert await d.sign("limit", claim=old) == "accepted"
        assert await d.sign("resume", claim={"seq": 2}) == "rejected:clock_untrusted"

    run(scenario)


def test_a_megabyte_is_answered_too_large() -> None:
    async def scenario(d: SignedDesk) -> None:
        assert await d.send_raw("limit", b"x" * 1_000_000) == "rejected:too_large"
        assert await d.send_raw("limit", b"e." + b"A" * 1_000_000 + b".") == "rejected:too_large"
        huge = b'{"payload": "' + b"A" * 1_000_000 + b'", "signature": "A"}'
        assert await d.send_raw("limit", huge) == "rejected:too_large"

    run(scenario)
