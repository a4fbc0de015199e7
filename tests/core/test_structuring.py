"""Strict structuring: nothing is coerced, and every problem is named with its path."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import attrs
import pytest
from cattrs import StructureHandlerNotFoundError
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.converter import EnvironmentText, Range, Reference
from aigateway_core.secret import Secret
from aigateway_core.structuring import Problem, StructuringError, near, structure


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Shape(Enum):
    ROUND = "round"
    NONE = 0


@attrs.frozen(kw_only=True)
class Part:
    key: Secret
    colour: Colour = Colour.RED


@attrs.frozen(kw_only=True)
class Whole:
    port: Annotated[int, Range(at_least=1, at_most=65535)] = 1
    ratio: Annotated[float, Range(above=0)] | None = None
    on: bool = False
    name: str = ""
    word: Literal["x", "y"] = "x"
    number: Literal[1, 2] = 1
    level: Level = Level.LOW
    shape: Shape = Shape.ROUND
    part: Part | None = None
    parts: Mapping[str, Part] = attrs.field(factory=dict)
    names: tuple[str, ...] = ()
    many: list[int] = attrs.field(factory=list)
    some: frozenset[str] = frozenset()
    bag: set[str] = attrs.field(factory=set)
    row: Sequence[Part] = ()
    file: Path | None = None
    at: datetime | None = None
    wait: timedelta = timedelta(0)
    anything: Any = None
    code: str = attrs.field(default="a", validator=attrs.validators.matches_re("[a-z]+"))


def problems(value: object, kind: type = Whole, path: str = "") -> list[str]:
    with pytest.raises(StructuringError) as caught:
        structure(value, kind, path)
    assert str(caught.value) == "; ".join(map(str, caught.value.problems))
    return [str(problem) for problem in caught.value.problems]


def test_values_of_the_right_type_arrive() -> None:
    whole = structure(
        {
            "port": 8088,
            "ratio": 1,
            "on": True,
            "name": "n",
            "word": "y",
            "number": 2,
            "level": 2,
            "shape": 0,
            "part": {"key": "k", "colour": "blue"},
            "parts": {"one": {"key": "k1"}},
            "names": ["a", "b"],
            "many": [1],
            "some": ["a", "a"],
            "bag": ["b"],
            "row": [{"key": "r"}],
            "file": "~/x",
            "at": "2026-01-02T03:04:05+02:00",
            "wait": 1.5,
            "anything": {"deep": [1]},
        },
        Whole,
    )
    assert whole == Whole(
        port=8088,
        ratio=1.0,
        on=True,
        name="n",
        word="y",
        number=2,
        level=Level.HIGH,
        shape=Shape.NONE,
        part=Part(key=Secret("k"), colour=Colour.BLUE),
        parts={"one": Part(key=Secret("k1"))},
        names=("a", "b"),
        many=[1],
        some=frozenset("a"),
        bag={"b"},
        row=(Part(key=Secret("r")),),
        file=Path("~/x").expanduser(),
        at=datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC),
        wait=timedelta(seconds=1.5),
        anything={"deep": [1]},
    )
    assert isinstance(whole.ratio, float)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("port", "8088", "expected an integer, got '8088'"),
        ("port", 80.0, "expected an integer, got 80.0"),
        ("port", True, "expected an integer, got true"),
        ("port", 0, "must be at least 1, got 0"),
        ("port", 65536, "must be at most 65535, got 65536"),
        ("ratio", "1", "expected a number, got '1'"),
        ("ratio", False, "expected a number, got false"),
        ("ratio", math.nan, "expected a number, got nan"),
        ("ratio", math.inf, "expected a number, got inf"),
        ("ratio", 0, "must be more than 0, got 0.0"),
        ("on", 1, "expected true or false, got 1"),
        ("on", "true", "expected true or false, got 'true'"),
        ("name", 5, "expected a string, got 5"),
        ("name", None, "expected a string, got nothing"),
        ("name", ["a"], "expected a string, got a list"),
        ("name", {"env": "HOME"}, "expected a string, got a mapping"),
        ("word", "z", "expected one of x, y, got 'z'"),
        ("number", True, "expected one of 1, 2, got true"),
        ("number", "1", "expected one of 1, 2, got '1'"),
        ("level", 3, "expected one of 1, 2, got 3"),
        ("shape", False, "expected one of round, 0, got false"),
        ("part", "x", "expected a mapping, got 'x'"),
        ("parts", [], "expected a mapping, got a list"),
        ("parts", {1: {"key": "k"}}, "expected a string as key, got 1"),
        ("names", "ab", "expected a list, got 'ab'"),
        ("names", {"a": 1}, "expected a list, got a mapping"),
        ("many", None, "expected a list, got nothing"),
        ("file", 1, "expected a string, got 1"),
        ("at", "yesterday", "expected a date and time as in ISO 8601, got 'yesterday'"),
        ("at", 5, "expected a date and time as in ISO 8601, got 5"),
        ("at", "2026-01-02T03:04:05", "a date and time needs its offset from UTC, as in 2026-01-02T03:04:05Z"),
        ("wait", "1", "expected a number, got '1'"),
        ("code", "A1", "'code' must match regex '[a-z]+' ('A1' doesn't)"),
    ],
)
def test_a_value_of_another_type_is_refused_at_its_path(field: str, value: object, message: str) -> None:
    assert problems({field: value}) == [f"{field}: {message}"]


def test_all_problems_are_named_at_once_and_in_depth() -> None:
    found = problems(
        {
            "port": "x",
            "part": {"colour": "green"},
            "parts": {"a": {"key": "k"}, "b": {"kee": "k"}},
            "row": [{"key": "k"}, 7],
            "prot": 1,
        },
        path="config",
    )
    assert found == [
        "config.port: expected an integer, got 'x'",
        "config.part.key: is missing",
        "config.part.colour: expected one of red, blue, got 'green'",
        "config.parts.b.key: is missing",
        "config.parts.b.kee: unknown key; did you mean 'key'?",
        "config.row[1]: expected a mapping, got 7",
        "config.prot: unknown key; did you mean 'port'?",
    ]


@pytest.mark.parametrize("value", [None, [], "text", 3])
def test_a_whole_that_is_no_mapping_is_refused(value: object) -> None:
    (problem,) = problems(value)
    assert problem.startswith("expected a mapping, got ")


@pytest.mark.parametrize("value", [12345678, ["hunter2-hunter2"], {"env": "hunter2-hunter2"}, True])
def test_a_secret_is_never_quoted(value: object) -> None:
    (problem,) = problems({"part": {"key": value}})
    assert problem.startswith("part.key: expected a string")
    assert "hunter2" not in problem
    assert "12345678" not in problem


def test_what_looks_like_a_credential_is_scrubbed_from_a_message() -> None:
    (problem,) = problems({"port": "sk-abcdefghijklmnop"})
    assert problem == "port: expected an integer, got '***'"


def test_a_long_value_is_quoted_in_part() -> None:
    (problem,) = problems({"port": "x" * 1000})
    assert len(problem) < 120


def test_a_reference_stands_for_a_string_or_a_secret() -> None:
    reference = Reference({"env": "NAME"}, "value")
    whole = structure({"name": reference, "part": {"key": reference}, "file": reference, "anything": reference}, Whole)
    assert (whole.name, whole.file) == ("value", Path("value"))
    assert whole.part == Part(key=Secret("value"))
    assert whole.anything == {"env": "NAME"}


def test_a_reference_to_nothing_is_a_problem_only_where_it_is_needed() -> None:
    dangling = Reference({"env": "NAME"}, None, "the environment variable NAME is not set")
    assert problems({"name": dangling, "part": {"key": dangling}}) == [
        "name: the environment variable NAME is not set",
        "part.key: the environment variable NAME is not set",
    ]
    assert structure({"anything": dangling}, Whole).anything == {"env": "NAME"}


def test_a_reference_is_no_integer() -> None:
    assert problems({"port": Reference({"env": "NAME"}, "80")}) == ["port: expected an integer, got a mapping"]


def test_a_plain_mapping_is_never_looked_up() -> None:
    """Else whoever may send JSON could read the environment and the disk."""
    assert problems({"name": {"file": "/etc/hostname"}}) == ["name: expected a string, got a mapping"]


def test_the_text_of_a_variable_is_read_as_yaml_where_no_string_is_asked_for() -> None:
    def said(text: str) -> EnvironmentText:
        return EnvironmentText(text, "VARIABLE")

    whole = structure(
        {
            "port": said("80"),
            "on": said("yes"),
            "name": said("123"),
            "number": said("2"),
            "part": {"key": said("456")},
            "names": said("a, b"),
            "many": said("[1, 2]"),
            "parts": said("{a: {key: k}}"),
            "at": said("2026-01-02T03:04:05Z"),
        },
        Whole,
    )
    assert whole == Whole(
        port=80,
        on=True,
        name="123",
        number=2,
        part=Part(key=Secret("456")),
        names=("a", "b"),
        many=[1, 2],
        parts={"a": Part(key=Secret("k"))},
        at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )
    assert type(whole.name) is str


def test_a_problem_names_the_variable_that_said_it() -> None:
    found = problems({"port": EnvironmentText("x", "A_PORT"), "prot": EnvironmentText("", "A_PROT"), "name": 1})
    assert found == [
        "A_PORT: port: expected an integer, got 'x'",
        "name: expected a string, got 1",
        "A_PROT: prot: unknown key; did you mean 'port'?",
    ]
    assert problems({"many": EnvironmentText("[", "MANY")}) == ["MANY: many: is not readable as a YAML value"]


def test_a_class_with_a_field_that_nothing_can_fill_is_told_apart_from_bad_data() -> None:
    @attrs.frozen
    class Odd:
        field: complex

    with pytest.raises(StructureHandlerNotFoundError):
        structure({"field": 1}, Odd)


def test_an_exception_of_a_plugins_own_class_is_a_problem_of_the_section() -> None:
    @attrs.frozen
    class Picky:
        name: str = ""

        def __attrs_post_init__(self) -> None:
            raise ValueError("name and number go\ntogether")

    assert problems({}, Picky, "providers.picky") == ["providers.picky: name and number go together"]


def test_near_names_are_suggested_and_far_ones_are_not() -> None:
    assert near("prot", ["port", "host"]) == "; did you mean 'port'?"
    assert near("zzz", ["port", "host"]) == ""


def test_a_problem_reads_from_its_source_to_its_message() -> None:
    assert str(Problem("a.b", "is wrong", "config.yaml")) == "config.yaml: a.b: is wrong"
    assert str(Problem("", "is wrong")) == "is wrong"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
field_names = st.sampled_from([field.name for field in attrs.fields(Whole)]) | st.text(max_size=5)


@given(st.dictionaries(field_names, json_values) | json_values)
def test_any_data_is_taken_or_refused_with_a_problem(value: object) -> None:
    try:
        outcome: object = structure(value, Whole)
    except StructuringError as error:
        outcome = error.problems
    assert isinstance(outcome, Whole) or outcome
