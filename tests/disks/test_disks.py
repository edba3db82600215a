"""Real disks: full, read-only, or failing under whoever runs. Nothing accepted is lost."""

from pathlib import Path

from tests.disks.small_disk import needs_mount, said_on_a_disk


@needs_mount
def test_a_full_and_a_read_only_disk_cost_the_outbox_nothing_accepted(tmp_path: Path) -> None:
    said = said_on_a_disk("outbox_on_a_disk", tmp_path)
    assert "mend its rights" in said[3]
    assert [line for line in said if not line.startswith("read-only the outbox")] == [
        "full True True",
        "reopened True True",
        "room True True",
        "mended accepted True",
        "stream True True",
    ]


@needs_mount
def test_a_full_and_a_read_only_disk_leave_what_was_kept_in_force(tmp_path: Path) -> None:
    assert said_on_a_disk("store_on_a_disk", tmp_path) == [
        "full: 3 documents, state_not_kept, refused",
        "room: taken, no alarm",
        "full meanwhile: 4 documents, state_not_kept",
        "room again: no alarm",
        "read-only: 4 documents, state_not_kept, refused",
        "mended: taken, no alarm",
        "first start on a full disk: 0 documents, state_not_kept, refused",
    ]


@needs_mount
def test_a_disk_that_turns_read_only_under_the_outbox(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    assert said_on_a_disk("outbox_on_a_failing_disk", folder) == [
        "failed: refused, says what to do; not readable",
        "counts stay: 4 of 5",
        "in use: False",
        "mended: accepted; 2,3,4,5,6",
        "the same stream: True",
        "window counts on: [1]",
        "and ends: ()",
        "an older file: accepted; 1",
        "a new stream, and said: True",
    ]


@needs_mount
def test_a_disk_that_turns_read_only_under_the_daemon(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    assert said_on_a_disk("daemon_on_a_failing_disk", folder) == [
        "alarms: figures_not_kept, journal_failed, state_not_kept, telemetry_not_kept",
        "control goes on, nothing is numbered: True",
        "the store is read: {}",
        "mended: no alarm, and the rows are in",
        "kept: ['two']",
        "published without a gap: True",
        "said with its count: warning {'rows': 0, 'values': 0}",
        "sessions that began meanwhile and are not told: []",
    ]
