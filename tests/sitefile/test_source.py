"""YAML as read: lines, bounds, and faults that are findings and never exceptions."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.errors import BadInput
from edgectl.sitefile.source import SIZE_MAX_BYTES, Source, parse_bytes, read_source
from edgectl.sitefile.yaml_text import DEPTH_MAX, FINDINGS_MAX, path_text


def parse(text: str) -> Source:
    return parse_bytes(text.encode(), file="f.yaml")


def codes(source: Source) -> list[str]:
    return [finding.code for finding in source.findings]


def test_lines_of_keys_items_and_nested_values() -> None:
    source = parse("a: 1\nb:\n  - {id: x}\n  - id: y\n    c: [1,\n        2]\n")
    assert source.data == {"a": 1, "b": [{"id": "x"}, {"id": "y", "c": [1, 2]}]}
    where = {(): 1, ("a",): 1, ("b",): 2, ("b", 0): 3, ("b", 1, "id"): 4, ("b", 1, "c", 1): 6}
    assert {path: source.line(path) for path in where} == where


def test_line_of_what_is_missing_is_that_of_what_is_around() -> None:
    assert parse("a: 1\nb:\n  c: 2\n").line(("b", "missing", 3)) == 2


def test_path_as_people_write_it() -> None:
    assert path_text(("evses", 3, "max_a")) == "evses[3].max_a"
    assert path_text(()) == ""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("16:00", "16:00"),
        ("on", "on"),
        ("no", "no"),
        ("2026-01-01", "2026-01-01"),
        ("010", 10),
        ("0x1F", 31),
        ("-3", -3),
        ("1e3", 1000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("3.1.1", "3.1.1"),
        ("true", True),
        ("~", None),
        ("''", ""),
        ("'12'", "12"),
        ("!!str 12", "12"),
        (".inf", float("inf")),
        ("-.inf", float("-inf")),
        ("1_000", "1_000"),
    ],
)
def test_scalars_are_yaml_1_2(text: str, value: object) -> None:
    source = parse(f"a: {text}")
    assert source.findings == ()
    assert source.data == {"a": value}
    assert isinstance(source.data, dict)
    assert type(source.data["a"]) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("", 0, "empty"),
        ("# nothing\n", 0, "empty"),
        ("a: 1\na: 2", 2, "duplicate_key"),
        ("a: {b: 1, b: 2}", 1, "duplicate_key"),
        ("a: 1\n---\nb: 2", 2, "second_document"),
        ("x: 1\n? [a]\n: 2", 2, "bad_key"),
        ("1.5: x", 1, "bad_key"),
        ("true: x", 1, "bad_key"),
        ("<<: {a: 1}", 1, "merge_key"),
        ("a: !!python/object:os.system x", 1, "tag"),
        ("a: !own {b: 1}", 1, "tag"),
        ("a: *b", 1, "bad_alias"),
        ("a: &a [*a]", 1, "bad_alias"),
        ("a: [1\nb: 2", 2, "syntax"),
        ("a: b: c", 1, "syntax"),
        ("a: 'x", 1, "syntax"),
        ("a:\n\t- b", 2, "syntax"),
        ("a: \x01", 1, "syntax"),
        ("%", 1, "syntax"),
    ],
)
def test_faults_are_findings(text: str, line: int, code: str) -> None:
    source = parse(text)
    assert [(finding.line, finding.code) for finding in source.findings] == [(line, code)]
    assert all(finding.message and finding.remedy for finding in source.findings)


def test_tabs_are_told_as_such() -> None:
    assert "tabs" in parse("a:\n\t- b").findings[0].remedy


def test_duplicate_keeps_the_first_and_says_both_lines() -> None:
    source = parse("a: 1\nb: 2\na: [3, {c: 4}]\n")
    assert source.data == {"a": 1, "b": 2}
    assert "line 1" in source.findings[0].message


def test_aliases_repeat_a_value_and_point_to_where_they_stand() -> None:
    source = parse("x: &n [1, 2]\ny:\n  z: *n\n")
    assert source.data == {"x": [1, 2], "y": {"z": [1, 2]}}
    assert source.line(("y", "z", 1)) == 3


def test_bomb_of_aliases_is_refused() -> None:
    levels = ["a: &a0 [1,1,1,1,1,1,1,1,1,1]"]
    levels += [f"b{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert codes(parse("\n".join(levels))) == ["too_large"]


def test_depth_is_bounded() -> None:
    assert codes(parse("[" * 100_000)) == ["too_deep"]
    assert parse("[" * DEPTH_MAX + "]" * DEPTH_MAX).findings == ()


def test_size_is_bounded() -> None:
    assert codes(parse("#" * (SIZE_MAX_BYTES + 1))) == ["too_large"]


def test_findings_are_bounded() -> None:
    source = parse("a: 1\n" * (2 * FINDINGS_MAX))
    assert len(source.findings) == FINDINGS_MAX
    assert source.data is None


def test_byte_order_mark_is_no_fault_and_latin_1_is() -> None:
    assert parse_bytes(b"\xef\xbb\xbfa: 1", file="f").data == {"a": 1}
    bad = parse_bytes(b"a: 1\nb: \xe9", file="f").findings
    assert [(finding.line, finding.code) for finding in bad] == [(2, "encoding")]


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        read_source(tmp_path / "none.yaml")
    assert caught.value.findings[0].code == "unreadable"
    with pytest.raises(BadInput):
        read_source(tmp_path)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab1:-[]{}&*!<>|#'\"%@?,. \n\t\\", max_size=60))
def test_no_text_raises(text: str) -> None:
    source = parse(text)
    assert all(finding.message and finding.remedy for finding in source.findings)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_raise(raw: bytes) -> None:
    assert parse_bytes(raw, file="f").file == "f"
