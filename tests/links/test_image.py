"""The process image: times, bounds, what drops what."""

from edgectl.daemon.lines.image import MOST_SAMPLES, MOST_SENT, SAMPLES_S, Image
from edgectl.devices.samples import EvseFacts
from edgectl.model.reading import EvseSample, MeterSample, Quality, VehicleState, quality_at
from edgectl.model.snapshot import Confirmed, EvseView, MeterView, Sent
from edgectl.units import EvseId, MeterId, OptionalTriple
from tests.links.toys import charger_profile, toy_evse, toy_meter, toy_site

M, E = MeterId("m1"), EvseId("e1")


def an_image(woken: list[int] | None = None) -> Image:
    site = toy_site([toy_meter("m1", 1)], [toy_evse("e1", 2, charger_profile())])
    calls: list[int] = [] if woken is None else woken
    return Image(site, on_wake=lambda: calls.append(1))


def sample(
    taken_s: float,
    current_a: OptionalTriple = (1.0, 1.0, 1.0),
    power_w: OptionalTriple = (None, None, None),
) -> MeterSample:
    return MeterSample(taken_s=taken_s, current_a=current_a, power_w=power_w)


def evse(image: Image) -> EvseView:
    return image.freeze()[1][E]


def test_before_the_first_answer_everything_is_unknown() -> None:
    image = an_image()
    assert image.freeze() == ({M: MeterView()}, {E: EvseView()})
    assert image.meter_quality(M, 100.0) == (Quality.BAD, None)
    assert image.evse_quality(E, 100.0) == (Quality.BAD, None)


def test_what_is_frozen_does_not_move_any_more() -> None:
    image = an_image()
    image.meter_sample(M, sample(1.0))
    image.sent(E, 10.0, 1.0)
    before = image.freeze()
    image.meter_sample(M, sample(2.0))
    image.sent(E, 12.0, 2.0)
    image.answered(E, 2.0)
    assert len(before[0][M].samples) == 1
    assert before[1][E].sent == (Sent(value_a=10.0, sent_s=1.0),)
    assert before[1][E].last_answer_s is None


def test_s23_samples_are_bounded_by_number_and_by_age() -> None:
    image = an_image()
    for n in range(1000):
        image.meter_sample(M, sample(n * 0.1))
        image.evse_facts(E, EvseFacts(sample=EvseSample(n * 0.1, (1.0, 1.0, 1.0))))
    meters, evses = image.freeze()
    assert len(meters[M].samples) == len(evses[E].samples) == MOST_SAMPLES
    for n in range(100, 200):
        image.meter_sample(M, sample(float(n)))
    taken = [one.taken_s for one in image.freeze()[0][M].samples]
    assert taken == sorted(taken)
    assert taken[1] > taken[-1] - SAMPLES_S >= taken[0], "one before the window is kept"


def test_one_old_sample_is_kept_with_its_age() -> None:
    image = an_image()
    image.meter_sample(M, sample(1.0))
    assert len(image.freeze()[0][M].samples) == 1
    assert image.meter_quality(M, 1000.0) == (Quality.BAD, 999.0)
    image.meter_missed(M, "no answer")
    image.meter_missed(M, "no answer")
    assert image.misses(M) == (2, "no answer")
    image.meter_sample(M, sample(1000.0))
    assert image.misses(M)[0] == 0


def test_quality_is_a_matter_of_age() -> None:
    assert quality_at(2.5, poll_s=1.0) is Quality.GOOD
    assert quality_at(2.6, poll_s=1.0) is Quality.STALE
    assert quality_at(14.9, poll_s=1.0) is Quality.STALE
    assert quality_at(15.0, poll_s=1.0) is Quality.BAD


def test_a_confirmation_drops_what_was_sent_up_to_it_and_no_more() -> None:
    image = an_image()
    for sent_s, value_a in ((1.0, 16.0), (2.0, 10.0), (3.0, 12.0)):
        image.sent(E, value_a, sent_s)
    image.confirmed(E, 10.0, sent_s=2.0, confirmed_s=2.5)
    view = evse(image)
    assert view.confirmed == Confirmed(value_a=10.0, sent_s=2.0, confirmed_s=2.5)
    assert view.sent == (Sent(value_a=12.0, sent_s=3.0),)


def test_s23_what_was_sent_is_bounded_and_its_maximum_is_never_lost() -> None:
    image = an_image()
    image.sent(E, 31.0, 0.0)
    for n in range(1, 500):
        image.sent(E, (n % 200) / 10, float(n))
    sent = evse(image).sent
    assert len(sent) == MOST_SENT
    assert max(one.value_a for one in sent) == 31.0
    assert [one.sent_s for one in sent] == sorted(one.sent_s for one in sent)
    assert sent[-1] == Sent(value_a=9.9, sent_s=499.0)


def test_the_same_value_sent_again_is_one_entry_with_the_newer_time() -> None:
    image = an_image()
    for sent_s in range(60):
        image.sent(E, 6.0, float(sent_s))
    assert evse(image).sent == (Sent(value_a=6.0, sent_s=59.0),)


def test_facts_change_what_they_say_and_nothing_else() -> None:
    image = an_image()
    image.evse_facts(E, EvseFacts(vehicle=VehicleState.CHARGING, failsafe_a=6.0, session_wh=10.0))
    image.evse_facts(E, EvseFacts(watchdog_s=60.0, energy_wh=99.0))
    view = evse(image)
    assert (view.vehicle, view.failsafe_a, view.watchdog_s) == (VehicleState.CHARGING, 6.0, 60.0)
    assert (view.session_wh, view.energy_wh, view.samples) == (10.0, 99.0, ())
    image.watchdog_unproved(E)
    assert (evse(image).failsafe_a, evse(image).watchdog_s) == (6.0, 0.0)


def test_an_older_answer_does_not_set_the_time_back() -> None:
    image = an_image()
    image.answered(E, 5.0)
    image.answered(E, 4.0)
    image.fed(E, 4.5)
    assert (evse(image).last_answer_s, evse(image).last_feed_s) == (5.0, 4.5)


def test_a_threshold_wakes_on_any_phase_above_it_and_only_there() -> None:
    woken: list[int] = []
    image = an_image(woken)
    image.meter_sample(M, sample(1.0, (999.0, 999.0, 999.0)))
    assert woken == [], "no threshold, no wake"
    image.set_wake_above({M: (50.0, None, 50.0)})
    image.meter_sample(M, sample(2.0, (50.0, 999.0, None)))
    assert woken == []
    image.meter_sample(M, sample(3.0, (50.1, 0.0, 0.0)))
    assert woken == [1]
    image.meter_sample(M, sample(4.0, (80.0, 0.0, 0.0), (-18400.0, 0.0, 0.0)))
    assert woken == [1], "what is fed back does not load the phase"
