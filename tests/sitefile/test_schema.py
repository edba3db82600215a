"""The editor's schema takes what `check` takes, and says what each key is for."""

from typing import Any

import jsonschema
import pytest

from edgectl.sitefile.entries.site_file import SiteFile
from edgectl.sitefile.schema import site_schema
from edgectl.sitefile.source import parse_bytes, read_source
from tests.sitefile.sites import CONFIG, GOOD, spoil
from tests.sitefile.test_load import SKELETON

VALIDATOR = jsonschema.Draft202012Validator(site_schema())


def data_of(text: str) -> Any:
    return parse_bytes(text.encode(), file="f").data


def for_json(value: Any) -> Any:
    """JSON knows only text as keys, as an editor's YAML reader makes of them."""
    if isinstance(value, dict):
        return {str(key): for_json(item) for key, item in value.items()}
    return [for_json(item) for item in value] if isinstance(value, list) else value


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(site_schema())


@pytest.mark.parametrize("name", ["small-depot.yaml", "demo-depot.yaml", "bus-depot.yaml"])
def test_schema_takes_the_examples(name: str) -> None:
    assert list(VALIDATOR.iter_errors(read_source(CONFIG / name).data)) == []


def test_schema_takes_the_skeleton_of_the_contract() -> None:
    assert list(VALIDATOR.iter_errors(for_json(data_of(SKELETON)))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("margin_a: 2", "marign_a: 2"),
        ("max_a: 16", 'max_a: "16"'),
        ("[100, 100, 100]", "[100]"),
        ("kind: mandatory", "kind: maybe"),
        ('from: "16:00"', 'from: "25:00"'),
        ("voltage_v: 230, ", ""),
        ("phases: [3]", "phases: [4]"),
    ],
)
def test_schema_refuses_what_has_the_wrong_shape(old: str, new: str) -> None:
    assert list(VALIDATOR.iter_errors(data_of(spoil(old, new)))) != []


def test_every_key_is_described() -> None:
    schema = site_schema()
    bare = [
        f"{name}.{key}"
        for name, entry in {"": schema, **schema["$defs"]}.items()
        for key, value in entry.get("properties", {}).items()
        if "description" not in value and "$ref" not in str(value)
    ]
    assert bare == []
    assert all(entry["description"] for entry in schema["$defs"].values())


def test_good_file_is_valid_for_schema_and_model() -> None:
    assert list(VALIDATOR.iter_errors(data_of(GOOD))) == []
    assert SiteFile.model_validate(data_of(GOOD)).site.id == "s1"
