"""Records that are made quickly are the records themselves."""

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, replace

import pytest

from edgectl.errors import InvariantBroken
from edgectl.model.quick import maker
from edgectl.model.snapshot import EvseView


@dataclass(frozen=True, slots=True)
class Record:
    one: int
    two: float = 2.0
    many: dict[str, int] = field(default_factory=dict)


record = maker(Record)


def test_it_is_what_the_class_makes() -> None:
    made = record(1, two=3.0)
    assert type(made) is Record
    assert made == Record(1, 3.0)
    assert repr(made) == repr(Record(1, 3.0))
    assert replace(made, one=4) == Record(4, 3.0)
    assert pickle.loads(pickle.dumps(made)) == made == copy.copy(made)
    assert hash(maker(EvseView)()) == hash(EvseView())


def test_it_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        record(1).one = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del record(1).two
    assert not hasattr(record(1), "__dict__")


def test_a_default_is_made_anew_for_each() -> None:
    assert record(1).many == {}
    assert record(1).many is not record(1).many


def test_what_the_class_refuses_is_refused() -> None:
    with pytest.raises(TypeError):
        record()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        record(1, three=3)  # type: ignore[call-arg]


@dataclass(frozen=True)
class Loose:
    one: int


@dataclass(frozen=True, slots=True)
class Checked:
    one: int

    def __post_init__(self) -> None:
        raise ValueError


@pytest.mark.parametrize("kind", [Loose, Checked, int])
def test_other_classes_are_refused(kind: type) -> None:
    with pytest.raises(InvariantBroken, match="no dataclass with slots that only stores"):
        maker(kind)
