"""No row of the peers' field failures gets lost: each has its tests."""

import ast
import re
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parents[1]
ROWS: Final = tuple(f"F{number}" for number in range(1, 26))

SHOWN: Final = """
F1 field/measuring
    test_f1_a_silent_meter_counts_as_the_worst_case_and_setpoints_follow
    test_f1_when_the_judgement_dies_chargers_fall_to_their_failsafe
F1 links/lease
    test_s16_f1_without_the_lease_nothing_goes_to_a_charger_that_it_would_feed
F2 field/sharing
    test_f2_what_fits_is_given_down_to_the_minimum
F3 field/sharing
    test_f3_a_swinging_load_throttles_and_stops_nobody
    test_f3_a_stop_holds_for_its_dwell_time
    test_f3_nothing_changes_while_nothing_changes
F4 field/sharing
    test_f4_only_evses_on_the_overloaded_phase_are_lowered
    test_f4_a_vehicle_on_l1_of_three_wired_phases_is_not_lowered_for_l3
F5 field/sharing
    test_f5_what_is_there_is_shared_and_not_given_to_the_first
    test_f5_where_not_all_fit_the_queue_admits_and_the_next_gets_the_freed_place
    test_f5_whoever_waits_gets_a_turn_although_nobody_leaves
F6 field/sharing
    test_f6_every_phase_has_its_own_ceiling
F7 field/sharing
    test_f7_rotated_vehicles_count_on_the_phase_that_they_load
    test_f7_evses_on_three_phases_are_not_added_up_on_one
    test_f7_vehicles_on_one_phase_of_rotated_sockets_are_not_added_up
F8 field/devices
    test_f8_whoever_is_switched_on_begins_within_the_headroom
F8 links/calls
    test_s10_f8_the_first_word_to_a_charger_is_its_setpoint
F9 field/sharing
    test_f9_after_a_base_load_step_chargers_on_one_feeder_do_not_swing
    test_f9_unmetered_evses_settle_within_three_ticks_too
F9 control/rules
    test_s21_after_a_base_step_the_setpoints_follow_without_overshoot
F10 field/measuring
    test_f10_what_is_fed_back_adds_room_on_its_phase_up_to_the_limits_below
F11 field/remote
    test_f11_zero_means_zero_and_no_duration_means_until_changed
    test_f11_a_lost_utility_limits_until_it_speaks_again_and_never_runs_out
F11 grid/ceilings
    test_F11_a_limit_that_means_nothing_here_is_refused
F12 grid/ceilings
    test_F12_a_guaranteed_minimum_is_held
    test_F12_the_minimum_holds_for_a_limit_in_amperes
    test_F12_below_minimum_obey_goes_below
F13 field/measuring
    test_f13_a_high_value_of_a_dead_meter_is_not_new_again_and_stops_nobody
    test_f13_a_meter_that_repeats_one_value_is_not_believed_for_long
    test_f13_a_meter_that_stands_still_while_vehicles_begin_hides_no_overload
F13 mqtt/telemetry
    test_f13_a_silent_device_repeats_its_value_with_its_old_time_and_says_so
F14 links/order
    test_f14_a_dead_device_costs_the_others_one_timeout_per_wait
    test_f14_a_silent_charger_does_not_hold_up_a_meter
F14 links/owner_on_serial
    test_f14_ten_units_one_dead_one_slow_keep_their_intervals
    test_f14_a_dead_unit_costs_nothing_where_the_line_has_room_for_its_timeout
F15 links/order
    test_f15_the_pause_that_a_device_needs_is_kept_and_used_for_others
    test_f15_a_device_that_takes_8_s_to_connect
F15 links/owner_on_serial
    test_f15_a_pause_that_one_device_needs_is_no_pause_of_the_line
F16 field/remote
    test_f16_a_depot_without_a_broker_and_without_a_word_charges
F16 mqtt/publisher
    test_f16_missing_remote_input_is_a_normal_state
F16 grid/event_desk
    test_F16_nothing_retained_is_a_normal_state
F17 field/remote
    test_f17_an_event_ends_on_time_while_the_broker_is_away_and_the_next_one_is_heard
F17 mqtt/publisher
    test_f17_attempts_are_capped_and_jittered_and_recovery_is_complete
F18 whole/life
    test_f18_five_minutes_without_broker_lose_no_row_and_control_feels_nothing
F18 mqtt/publisher
    test_f18_every_row_arrives_once_it_was_appended_and_no_lane_goes_back
F18 mqtt/mosquitto
    test_f18_killing_the_broker_loses_nothing_that_the_outbox_accepted
F19 field/sharing
    test_f19_setpoints_are_in_the_devices_step_and_remainders_are_handed_out
F20 field/measuring
    test_f20_headroom_from_the_sun_ends_with_the_age_of_its_reading
F21 links/setpoint
    test_f21_another_client_of_the_charger_is_detected_said_and_answered_ever_more_slowly
    test_f21_a_value_seen_above_everything_sent_is_entered_at_once
    test_s14_f21_a_long_quarrel_about_one_value_holds_no_lower_one_back
F22 field/measuring
    test_f22_without_fresh_readings_nobody_is_raised
F23 field/remote
    test_f23_the_last_word_of_a_backend_that_is_gone_ends_by_itself
F24 field/remote
    test_f24_a_cancelled_event_is_gone_in_the_same_tick
F24 grid/event_desk
    test_F24_a_restart_in_the_middle_keeps_event_and_random_draw
F24 whole/life
    test_f24_a_restart_holds_the_event_from_the_first_tick_and_raises_nobody_unseen
F25 links/order
    test_f25_slow_reads_do_not_hold_up_fast_ones
F25 devices/reads
    test_a_block_never_exceeds_the_devices_registers
"""
"""Row, folder and module without `test_`, then its tests."""


def shown() -> list[tuple[str, str, str]]:
    """Row, module, test."""
    rows = []
    head: tuple[str, ...] = ()
    for line in SHOWN.strip().splitlines():
        if line.startswith("F"):
            head = tuple(line.split())
        else:
            row, module = head
            rows.append((row, module, line.strip()))
    return rows


def test_every_row_has_a_test() -> None:
    assert {row for row, _, _ in shown()} == set(ROWS)
    assert len(set(shown())) == len(shown())


def test_every_named_test_exists() -> None:
    found: dict[str, set[str]] = {}
    for row, module, test in shown():
        if module not in found:
            folder, _, name = module.partition("/")
            path = TESTS / folder / f"test_{name}.py"
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found[module] = {
                node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
            }
        assert test in found[module], f"{row}: {module} has no {test} any more"


def test_a_test_that_is_named_after_a_row_shows_that_row() -> None:
    for row, _, test in shown():
        named = re.findall(r"(?:^|_)[fF](\d+)_", test)
        assert not named or f"F{named[0]}" == row, test
