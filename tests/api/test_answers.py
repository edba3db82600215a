"""`status` and `why` say what the record holds, by the contract's names, and the sums add up."""

import json
from dataclasses import replace

import jsonschema
import pytest

from edgectl.contract.explain import Why, why
from edgectl.contract.local import MqttStatus, Status, status
from edgectl.contract.schemas import schemas
from edgectl.errors import Refused
from edgectl.model.decision import PrimaryDecision, Reason, ReasonCode, Urgency
from edgectl.model.reading import VehicleState
from edgectl.model.record import TickRecord
from edgectl.model.site import Connection, Transformer
from edgectl.model.snapshot import EvseView
from edgectl.model.state import EvseState
from edgectl.units import NodeId
from tests.api.world import ALARM, BAYS, CAP, CRITICAL, NOW, evse_decision, record

BAY = BAYS[0]


def _status(of: TickRecord) -> dict[str, object]:
    mqtt = MqttStatus(connected=True, backlog=3)
    answer = status(of, now=NOW, version="1.2.3", mqtt=mqtt, dr=[{"event_id": "ev-9"}])
    return answer.to_json()


def _why(of: TickRecord) -> dict[str, object]:
    return why(of, BAY, now=NOW).to_json()


def test_status_has_the_fields_of_the_contract() -> None:
    answer = Status.model_validate(_status(record(alarms=(ALARM,))))
    assert (answer.site, answer.mode, answer.version) == ("depot-north", "control", "1.2.3")
    assert answer.since == "2027-01-15T07:45:00.000Z"
    assert answer.tick.p99_ms == 1.9
    node = answer.nodes["tx1"]
    assert node.ceiling_a == [100.0, 100.0, 100.0]
    assert node.base_a == [20.0, 20.0, 20.0]
    assert node.committed_a == [78.0, 78.0, 78.0]
    assert node.headroom_a == [78.0, 78.0, 78.0]
    assert node.holder.text == "the operator's cap cap-0"
    assert node.quality == "good"
    bay = answer.evses[BAY]
    assert (bay.state, bay.setpoint_a, bay.measured_a) == ("charging", 13.0, 12.9)
    assert (bay.reason, bay.session_wh) == ("node_ceiling", 4200.0)
    assert bay.age_s == pytest.approx(0.4)
    assert [alarm.code for alarm in answer.alarms] == ["charger_silent"]
    assert answer.mqtt == MqttStatus(connected=True, backlog=3)
    assert answer.dr == [{"event_id": "ev-9"}]


def test_what_does_not_apply_is_left_out() -> None:
    of = record(ceilings=())
    of = replace(of, snapshot=replace(of.snapshot, evses={}))
    answer = json.loads(json.dumps(_status(of)))
    bay = answer["evses"][BAY]
    assert not {"measured_a", "session_wh", "age_s"} & set(bay)
    assert bay["state"] == "silent"
    assert "ceiling_va" not in answer["nodes"]["grid"]
    assert "deficit_a" not in answer["nodes"]["grid"]
    assert answer["ceilings"] == []


def test_a_phase_without_a_ceiling_is_null_and_has_no_headroom() -> None:
    of = record()
    grid = replace(of.decision.nodes[NodeId("grid")], ceiling_a=(400.0, None, 400.0))
    nodes = {**of.decision.nodes, NodeId("grid"): grid}
    answer = Status.model_validate(_status(replace(of, decision=replace(of.decision, nodes=nodes))))
    assert answer.nodes["grid"].ceiling_a == [400.0, None, 400.0]
    assert answer.nodes["grid"].headroom_a == [342.0, None, 342.0]


def test_a_deficit_is_said_and_the_headroom_is_zero() -> None:
    of = record()
    tx1 = replace(
        of.decision.nodes[NodeId("tx1")],
        base_a=(110.0, 20.0, 20.0),
        account_a=(110.0, 98.0, 98.0),
        deficit_a=(12.0, 0.0, 0.0),
    )
    nodes = {**of.decision.nodes, NodeId("tx1"): tx1}
    answer = Status.model_validate(_status(replace(of, decision=replace(of.decision, nodes=nodes))))
    assert answer.nodes["tx1"].headroom_a == [0.0, 78.0, 78.0]
    assert answer.nodes["tx1"].deficit_a == [12.0, 0.0, 0.0]


def test_the_loudest_alarm_comes_first() -> None:
    answer = Status.model_validate(_status(record(alarms=(ALARM, CRITICAL))))
    assert [alarm.code for alarm in answer.alarms] == ["over_ceiling", "charger_silent"]


def test_timed_ceilings_are_listed_with_what_release_needs() -> None:
    answer = Status.model_validate(_status(record()))
    (ceiling,) = answer.ceilings
    assert (ceiling.holder.id, ceiling.node, ceiling.reason) == ("cap-0", "tx1", "evening peak")
    assert ceiling.limit_a == [100.0, 100.0, 100.0]
    assert ceiling.until == "2027-01-15T08:30:00.000Z"


def test_why_adds_up_at_every_node_to_the_root() -> None:
    answer = Why.model_validate(_why(record()))
    assert [(row.node, row.phase) for row in answer.chain] == [
        ("tx1", 1),
        ("tx1", "va"),
        ("grid", 1),
    ]
    tightest = answer.chain[0]
    assert tightest.ceiling_a == 100.0
    assert tightest.others_a == 65.0
    assert tightest.left_a == 13.0
    assert tightest.since == "2027-01-15T07:50:00.000Z"
    for row in answer.chain:
        if row.ceiling_a is not None:
            assert row.margin_a is not None
            assert row.base_a is not None
            assert row.others_a is not None
            left_a = row.ceiling_a - row.margin_a - row.base_a - row.others_a
            assert row.left_a == pytest.approx(left_a)
    power = answer.chain[1]
    assert power.ceiling_a is None
    assert power.left_va == pytest.approx(80_000.0 - 1600.0 - 85.0 * 690.0)


def test_why_shows_the_tightest_phase_of_the_evse() -> None:
    of = record()
    tx1 = replace(of.decision.nodes[NodeId("tx1")], base_a=(20.0, 20.0, 21.0))
    tx1 = replace(tx1, promise_a=(98.0, 98.0, 99.0))
    nodes = {**of.decision.nodes, NodeId("tx1"): tx1}
    answer = Why.model_validate(_why(replace(of, decision=replace(of.decision, nodes=nodes))))
    assert answer.chain[0].phase == 3


def test_why_counts_a_silent_charger_with_what_it_may_draw() -> None:
    silent = evse_decision(ReasonCode.SILENT, silent=True, setpoint_a=6.0, committed_a=13.0)
    answer = Why.model_validate(_why(record(evses={BAY: silent})))
    assert answer.chain[0].others_a == 65.0
    assert answer.next_relaxation is not None
    assert "answers again" in answer.next_relaxation.text


def test_next_relaxation_is_the_end_of_the_binding_ceiling() -> None:
    relaxation = Why.model_validate(_why(record())).next_relaxation
    assert relaxation is not None
    assert relaxation.text == "the operator's cap cap-0 ends"
    assert relaxation.at == "2027-01-15T08:30:00.000Z"
    assert relaxation.in_s == 1800.0


def test_next_relaxation_of_a_rest_is_its_end() -> None:
    resting = evse_decision(
        ReasonCode.MIN_OFF, reason=Reason(ReasonCode.MIN_OFF, until_s=NOW.mono_s + 60.0)
    )
    relaxation = Why.model_validate(_why(record(evses={BAY: resting}))).next_relaxation
    assert relaxation is not None
    assert (relaxation.in_s, relaxation.at) == (60.0, "2027-01-15T08:01:00.000Z")


def test_next_relaxation_of_one_that_asks_for_nothing_is_when_it_waits_again() -> None:
    full = evse_decision(
        ReasonCode.NO_DEMAND, reason=Reason(ReasonCode.NO_DEMAND, until_s=NOW.mono_s + 60.0)
    )
    relaxation = Why.model_validate(_why(record(evses={BAY: full}))).next_relaxation
    assert relaxation is not None
    assert relaxation.text == "it waits for its minimum with the others again"
    assert relaxation.in_s == 60.0


def test_next_relaxation_without_a_timer_says_what_it_depends_on() -> None:
    relaxation = Why.model_validate(_why(record(ceilings=()))).next_relaxation
    assert relaxation is not None
    assert relaxation.at is None
    assert relaxation.text == "when base load or other vehicles under tx1 take less"


def test_nothing_relaxes_an_evse_at_its_own_maximum() -> None:
    full = evse_decision(reason=Reason(ReasonCode.OWN_MAXIMUM, limit=32.0))
    assert Why.model_validate(_why(record(evses={BAY: full}))).next_relaxation is None


def test_the_queue_place_is_said_with_the_time_since_it_waits() -> None:
    waits = replace(
        evse_decision(reason=Reason(ReasonCode.NOT_ADMITTED, node=NodeId("tx1"), limit=6.0)),
        place=2,
    )
    states = {BAYS[0]: EvseState(held_a=0.0, setpoint_a=0.0, asked_s=NOW.mono_s - 30.0)}
    queue = why(record(evses={BAY: waits}, states=states), BAY, now=NOW).queue
    assert queue is not None
    assert (queue.position, queue.since) == (2, "2027-01-15T07:59:30.000Z")
    assert why(record(), BAY, now=NOW).queue is None


def test_the_target_of_a_vehicle_is_said_with_its_laxity() -> None:
    urgency = Urgency(need_wh=12_000.0, departure_utc_s=NOW.utc_s + 7200.0, laxity_s=1800.0)
    decision = replace(evse_decision(reason=Reason(ReasonCode.OWN_MAXIMUM)), urgency=urgency)
    target = why(record(evses={BAY: decision}), BAY, now=NOW).target
    assert target is not None
    assert (target.need_wh, target.laxity_s) == (12_000.0, 1800.0)
    assert why(record(), BAY, now=NOW).target is None


def test_an_unknown_evse_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Refused, match="bay01, bay02") as refusal:
        why(record(), "bay99", now=NOW)
    assert refusal.value.code == "unknown_target"


def test_answers_agree_with_their_schemas() -> None:
    known = schemas()
    for name, answer in (("local/status", _status(record())), ("local/why", _why(record()))):
        jsonschema.validate(json.loads(json.dumps(answer)), known[name])


def test_an_unheard_evse_is_silent_and_one_without_vehicle_is_absent() -> None:
    of = record()
    absent = EvseView(vehicle=VehicleState.ABSENT, last_answer_s=NOW.mono_s)
    decision = evse_decision(reason=Reason(ReasonCode.NO_VEHICLE))
    of = replace(
        of,
        snapshot=replace(of.snapshot, evses={BAYS[0]: EvseView(), BAYS[1]: absent}),
        decision=replace(of.decision, evses={**of.decision.evses, BAYS[1]: decision}),
    )
    answer = Status.model_validate(_status(of))
    assert answer.evses[BAYS[0]].state == "silent"
    assert answer.evses[BAYS[1]].state == "absent"


def behind_a_transformer() -> TickRecord:
    """BAY hangs between L2 and L3 of tx1, whose transformer is what stops it."""
    of = record()
    site, decision, tx1 = of.snapshot.site, of.decision, NodeId("tx1")
    site = replace(
        site,
        nodes=tuple(
            replace(node, transformer=Transformer(4.0)) if node.id == tx1 else node
            for node in site.nodes
        ),
        evses=tuple(
            replace(one, phases=(2, 3), connection=Connection.LINE_TO_LINE)
            if one.id == BAY
            else one
            for one in site.evses
        ),
    )
    fed = PrimaryDecision(
        ceiling_a=(40.0, 40.0, None),
        margin_a=(0.8, 0.8, None),
        base_a=(5.0, 5.0, 5.0),
        account_a=(30.0, 39.2, 20.0),
        promise_a=(30.0, 39.2, 20.0),
        deficit_a=(0.0, 0.0, 0.0),
        holder_a=(CAP, CAP, CAP),
    )
    bay = replace(
        decision.evses[BAY],
        reason=Reason(
            ReasonCode.PRIMARY_CEILING, node=tx1, row="2", holder=CAP, limit=40.0, side="primary"
        ),
    )
    decision = replace(
        decision,
        nodes={**decision.nodes, tx1: replace(decision.nodes[tx1], primary=fed)},
        evses={**decision.evses, BAY: bay},
    )
    return replace(of, snapshot=replace(of.snapshot, site=site), decision=decision)


def test_why_shows_the_lines_that_feed_a_transformer() -> None:
    said = _why(behind_a_transformer())
    jsonschema.validate(said, schemas()["local/why"])
    answer = Why.model_validate(said)
    assert answer.reason.side == "primary"
    assert answer.reason.text.startswith(
        "the primary side of L2 of tx1 is at its ceiling of 40.0 A"
    )
    assert [(row.node, row.phase, row.side) for row in answer.chain] == [
        ("tx1", 2, None),
        ("tx1", 2, "primary"),
        ("tx1", "va", None),
        ("grid", 1, None),
    ]
    fed = answer.chain[1]
    assert (fed.ceiling_a, fed.margin_a, fed.base_a) == (40.0, 0.8, 5.0)
    assert fed.others_a == pytest.approx(39.2 - 5.0 - answer.setpoint_a / 4.0)


def test_status_shows_the_lines_that_feed_a_transformer() -> None:
    answer = Status.model_validate(_status(behind_a_transformer()))
    fed = answer.nodes["tx1"].primary
    assert fed is not None
    assert fed.ceiling_a == [40.0, 40.0, None]
    assert fed.committed_a == pytest.approx([25.0, 34.2, 15.0])
    assert fed.headroom_a == [pytest.approx(34.2), pytest.approx(34.2), None]
    assert answer.nodes["grid"].primary is None
