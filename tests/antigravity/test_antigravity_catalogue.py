"""What a client's name for a model means, and what is told of the models there are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway_antigravity.catalogue import Catalogue
from aigateway_antigravity.config import AntigravityConfig
from aigateway_antigravity.models import ALIASES, FORMER, MODELS
from aigateway_core.plugin import Secret


def catalogue(**given: Any) -> Catalogue:
    return Catalogue(AntigravityConfig(oauth_client_id="client", oauth_client_secret=Secret("secret-secret"), **given))


KNOWN = catalogue()


@pytest.mark.parametrize(
    ("name", "wire", "effort", "budget"),
    [
        pytest.param("gemini-claude-opus-4-6-thinking-low", "claude-opus-4-6-thinking", None, 8192, id="E19 low"),
        pytest.param("gemini-claude-opus-4-6-thinking-medium", "claude-opus-4-6-thinking", None, 16384, id="E19 mid"),
        pytest.param("gemini-claude-opus-4-6-thinking-high", "claude-opus-4-6-thinking", None, 32768, id="E19 high"),
        pytest.param("claude-opus-4-6", "claude-opus-4-6-thinking", None, None, id="E20 claude"),
        pytest.param("gemini-3.1-pro-high", "gemini-pro-agent", None, None, id="E20 gemini"),
        pytest.param("foo-1", "foo-1", None, None, id="E20 unknown"),
        ("gemini-claude-sonnet-4-6", "claude-sonnet-4-6", None, None),
        ("gemini-claude-sonnet-4-5", "claude-sonnet-4-6", None, None),
        ("claude-opus-4-5-20251101", "claude-opus-4-6-thinking", None, None),
        ("claude-3-opus-20240229", "claude-opus-4-6-thinking", None, None),
        ("claude-sonnet-4-6-thinking", "claude-sonnet-4-6", None, None),
        ("claude-sonnet-4-6[1m]", "claude-sonnet-4-6", None, None),
        ("claude-haiku-4-5", "claude-sonnet-4-6", None, None),
        ("claude-instant", "claude-instant", None, None),
        ("antigravity-gemini-3-flash", "gemini-3-flash", None, None),
        ("antigravity-foo-1", "foo-1", None, None),
        ("models/gemini-3-flash", "gemini-3-flash", None, None),
        ("gemini-3-flash-low", "gemini-3-flash", "low", None),
        ("gemini-3-flash-minimal", "gemini-3-flash", "minimal", None),
        ("gemini-3-flash-preview", "gemini-3-flash", None, None),
        ("gemini-3-flash-preview-customtools", "gemini-3-flash", None, None),
        ("gemini-3.1-pro", "gemini-3.1-pro-low", None, None),
        ("gemini-3.1-pro-low", "gemini-3.1-pro-low", None, None),
        ("gemini-3.1-pro-medium", "gemini-3.1-pro-low", "medium", None),
        ("gemini-3.1-pro-preview", "gemini-3.1-pro-low", None, None),
        ("gemini-3-pro-preview", "gemini-3.1-pro-low", None, None),
        ("gemini-3-pro-high", "gemini-pro-agent", None, None),
        ("gemini-3.5-flash-low", "gemini-3.5-flash-low", None, None),
        ("gemini-3.5-flash-medium", "gemini-3.5-flash-low", None, None),
        ("gemini-3.7-flash-low", "gemini-3.7-flash-high", "low", None),
        ("gemini-3.7-flash-high", "gemini-3.7-flash-high", None, None),
        ("gemini-3.8-flash-medium", "gemini-3.8-flash-tiered", "medium", None),
        ("gemini-3-flash(high)", "gemini-3-flash", "high", None),
        ("gemini-3-flash(8192)", "gemini-3-flash", None, 8192),
        ("claude-opus-4-6(none)", "claude-opus-4-6-thinking", "none", None),
        ("gemini-3-flash(loud)", "gemini-3-flash(loud)", None, None),
        ("foo-1(high)", "foo-1(high)", None, None),
        ("gemini-9-ultra", "gemini-9-ultra", None, None),
        ("gpt-oss-120b", "gpt-oss-120b-medium", None, None),
        ("", "", None, None),
    ],
)
def test_a_name_means_a_model(name: str, wire: str, effort: str | None, budget: int | None) -> None:
    asked = KNOWN.find(name)
    assert (asked.model.id, asked.effort, asked.budget) == (wire, effort, budget)


@given(st.sampled_from([model.id for model in MODELS]))
def test_the_name_a_model_has_there_means_itself_and_no_more(name: str) -> None:
    asked = KNOWN.find(name)
    assert (asked.model.id, asked.effort, asked.budget) == (name, None, None)


@given(st.text(max_size=30) | st.from_regex(r"(gemini|claude|gpt)-[a-z0-9.()-]{0,20}", fullmatch=True))
def test_every_name_means_something_and_the_answer_means_the_same(name: str) -> None:
    wire = KNOWN.find(name).model.id
    assert KNOWN.find(wire).model.id == wire or wire.startswith(("models/", "antigravity-")) or wire.endswith("[1m]")


@pytest.mark.parametrize("name", [*ALIASES, *FORMER])
def test_other_names_lead_to_models_that_are_known(name: str) -> None:
    known = {model.id for model in MODELS} | {"gemini-3.8-flash-tiered"}
    assert KNOWN.find(name).model.id in known


@pytest.mark.parametrize(
    ("name", "family", "group", "thinking"),
    [
        ("claude-next", "claude", "claude", "budget"),
        ("gemini-9-pro", "gemini", "gemini-pro", "level"),
        ("gemini-9-flash", "gemini", "gemini-flash", "level"),
        ("gemini-9-pro-image", "gemini", "gemini-pro-image", "level"),
        ("gemini-2.5-flash", "gemini", "gemini-flash", "budget"),
        ("gpt-oss-20b", "gpt-oss", "gpt-oss", "none"),
        ("foo-1", "gemini", "foo-1", "level"),
    ],
)
def test_E20_a_model_that_nobody_knows_is_what_its_name_says(name: str, family: str, group: str, thinking: str) -> None:
    model = KNOWN.find(name).model
    assert (model.family, model.quota_group, model.thinking) == (family, group, thinking)
    assert (model.context_window, model.max_output_tokens) == (None, None)


def test_E21_of_the_operators_names_an_exact_one_wins_then_the_pattern_that_says_the_most() -> None:
    named = catalogue(
        aliases={"gpt*": "a", "gpt-4*": "b", "gpt-4-exact": "c", "*-turbo": "d", "best": "gemini-3-flash(low)"}
    )
    assert named.find("gpt-4-turbo").model.id == "d"
    assert named.find("gpt-4-mini").model.id == "b"
    assert named.find("gpt-3").model.id == "a"
    assert named.find("gpt-4-exact").model.id == "c"
    assert (named.find("best").model.id, named.find("best").effort) == ("gemini-3-flash", "low")


def test_E21_the_longer_pattern_beats_the_shorter() -> None:
    named = catalogue(aliases={"gpt*": "a", "gpt-4*": "b"})
    assert named.find("gpt-4-turbo").model.id == "b"


def test_the_operators_names_come_before_those_that_are_known_and_hold_no_regular_expressions() -> None:
    named = catalogue(aliases={"claude-haiku-*": "gemini-3-flash", "g.t": "a"})
    assert named.find("claude-haiku-4-5").model.id == "gemini-3-flash"
    assert named.find("gpt").model.id == "gpt"
    assert named.find("g.t").model.id == "a"


def test_known_models_are_listed_with_their_limits_quota_and_other_names() -> None:
    listed = {
        info.id: info for info in catalogue(models=("gemini-new", "gem*"), aliases={"best": "gemini-3-flash"}).infos
    }
    assert listed["claude-opus-4-6-thinking"].context_window == 200_000
    assert listed["claude-opus-4-6-thinking"].max_output_tokens == 64_000
    assert listed["claude-opus-4-6"].quota_group == listed["claude-sonnet-4-6"].quota_group == "claude"
    assert listed["gemini-pro-agent"].display_name == "Gemini 3.1 Pro (High)"
    assert listed["best"].context_window == 1_048_576
    assert listed["gemini-3-flash"].capabilities == {"tools", "images", "thinking"}
    assert listed["gpt-oss-120b-medium"].capabilities == {"tools"}
    assert listed["gemini-new"].context_window is None
    assert "gem*" not in listed
    assert len(listed) == len(MODELS) + len(ALIASES) + 2


def test_an_account_is_tested_with_a_small_model() -> None:
    assert KNOWN.infos[0].id == "gemini-3-flash"


def test_a_name_is_told_of_as_the_model_that_it_means() -> None:
    info = KNOWN.info("claude-opus-4-5-20251101")
    assert (info.id, info.quota_group, info.max_output_tokens) == ("claude-opus-4-5-20251101", "claude", 64_000)


def test_patterns_are_those_of_the_platform_and_of_the_operator() -> None:
    patterns = catalogue(models=("acme-*",), aliases={"best-*": "gemini-3-flash", "*-turbo": "x", "a*b*": "x"}).patterns
    assert {"gemini-*", "claude-*", "gpt-oss-*", "acme-*", "best-*"} <= set(patterns)
    assert not {"*-turbo", "a*b*"} & set(patterns)


# -- what accounts tell

ANSWER: dict[str, Any] = {
    "models": {
        "claude-sonnet-4-6": {
            "displayName": "Claude Sonnet 4.6 (Thinking)",
            "maxTokens": 180_000,
            "maxOutputTokens": "60000",
        },
        "gemini-3-flash": {"displayName": "Gemini 3 Flash", "quotaInfo": {"resetTime": "2026-08-22T18:00:00Z"}},
        "gemini-9-flash": {"displayName": "Gemini 9 Flash", "maxTokens": 2_000_000, "maxOutputTokens": 100_000},
        "gemini-9-nothink": {"supportsThinking": False},
        "chat_20706": {"displayName": "gemini inside"},
        "tab_flash_lite_preview": {},
        "something-else": {},
    },
    "deprecatedModelIds": {
        "claude-opus-4-6-thinking": {"newModelId": "claude-opus-5"},
        "gemini-3-flash": {"newModelId": "gemini-9-flash"},
    },
    "webSearchModelIds": ["gemini-9-flash", 5],
}


@pytest.fixture
def learned() -> Catalogue:
    known = catalogue(models=("gemini-mine",))
    known.learn(ANSWER)
    return known


def test_what_accounts_have_is_listed_and_nothing_else(learned: Catalogue) -> None:
    listed = {info.id: info for info in learned.infos}
    assert {"claude-sonnet-4-6", "gemini-3-flash", "gemini-9-flash", "gemini-9-nothink", "gemini-mine"} <= listed.keys()
    assert listed["claude-sonnet-4-6"].context_window == 180_000
    assert listed["claude-sonnet-4-6"].max_output_tokens == 60_000
    assert listed["gemini-3-flash"].max_output_tokens == 65_536
    assert listed["gemini-9-flash"].max_output_tokens == 100_000
    assert "thinking" not in listed["gemini-9-nothink"].capabilities
    assert "gemini-3-flash-preview" in listed
    assert not {"chat_20706", "tab_flash_lite_preview", "something-else", "gemini-pro-agent"} & listed.keys()
    assert "gemini-3.1-pro-high" not in listed


def test_what_no_account_has_is_found_by_its_name_still(learned: Catalogue) -> None:
    assert learned.find("gemini-pro-agent").model.max_output_tokens == 65_535


def test_a_model_that_was_replaced_leads_to_the_next_unless_an_account_has_it(learned: Catalogue) -> None:
    assert learned.find("claude-opus-4-6").model.id == "claude-opus-5"
    assert learned.find("claude-opus-4-6").model.family == "claude"
    assert learned.find("gemini-3-flash").model.id == "gemini-3-flash"
    learned.learn({"models": {"claude-opus-4-6-thinking": {}}})
    assert learned.find("claude-opus-4-6").model.id == "claude-opus-4-6-thinking"


def test_models_of_several_accounts_are_added_up(learned: Catalogue) -> None:
    learned.learn({"models": {"gemini-pro-agent": {}}})
    assert {"gemini-pro-agent", "gemini-9-flash"} <= {info.id for info in learned.infos}


def test_searches_go_to_a_model_that_can(learned: Catalogue) -> None:
    assert KNOWN.web_search_model == "gemini-3.1-flash-lite"
    assert learned.web_search_model == "gemini-9-flash"
    learned.learn({"models": {"gemini-3.1-flash-lite": {}}, "webSearchModelIds": ["x-gemini", "gemini-3.1-flash-lite"]})
    assert learned.web_search_model == "gemini-3.1-flash-lite"


def test_models_that_replace_each_other_end_somewhere() -> None:
    known = catalogue()
    known.learn(
        {
            "models": {"gemini-3-flash": {}},
            "deprecatedModelIds": {"gemini-a": {"newModelId": "gemini-b"}, "gemini-b": {"newModelId": "gemini-a"}},
        }
    )
    assert known.find("gemini-a").model.id in {"gemini-a", "gemini-b"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
TOLD = st.dictionaries(st.sampled_from(["maxTokens", "maxOutputTokens", "displayName", "supportsThinking"]), JSON)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "models": st.dictionaries(
                st.sampled_from(["gemini-3-flash", "gemini-x", "chat_1", "é-gemini"]), TOLD | JSON
            )
            | JSON,
            "deprecatedModelIds": JSON | st.dictionaries(st.sampled_from(["gemini-x", "claude-y"]), JSON),
            "webSearchModelIds": JSON,
        },
    )
)
def test_no_answer_breaks_the_catalogue(answer: dict[str, Any]) -> None:
    known = catalogue()
    known.learn(answer)
    assert known.infos
    assert known.find("gemini-3-flash").model.family == "gemini"
    assert isinstance(known.web_search_model, str)
