from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
from core.conftest import PlainProvider

from aigateway_core.errors import InvalidRequestError, UnknownModelError
from aigateway_core.model import ModelInfo
from aigateway_core.routing import Router
from aigateway_core.snapshot import ProviderEntry

Make = Callable[..., ProviderEntry]


def test_a_known_model_is_served_by_the_provider_that_knows_it(entry: Make) -> None:
    route = Router([entry("a", models=["m-1"]), entry("b", models=["m-2"])]).route("m-2")
    assert (route.provider.id, route.model) == ("b", "m-2")


def test_a_prefix_names_the_provider_and_is_taken_off(entry: Make) -> None:
    route = Router([entry("a", patterns=["m-*"]), entry("b")]).route("b/m-2")
    assert (route.provider.id, route.model) == ("b", "m-2")


def test_a_model_id_may_contain_slashes(entry: Make) -> None:
    router = Router([entry("a", models=["meta/llama"]), entry("b")])
    assert (router.route("meta/llama").provider.id, router.route("meta/llama").model) == ("a", "meta/llama")
    assert (router.route("b/meta/llama").provider.id, router.route("b/meta/llama").model) == ("b", "meta/llama")


def test_an_exact_name_beats_the_prefix_of_another_provider(entry: Make) -> None:
    assert Router([entry("b"), entry("a", models=["b/x"])]).route("b/x").provider.id == "a"


def test_the_longest_pattern_wins(entry: Make) -> None:
    router = Router([entry("short", patterns=["gpt-*"]), entry("long", patterns=["gpt-4*"])])
    assert router.route("gpt-4o").provider.id == "long"
    assert router.route("gpt-5").provider.id == "short"


def test_of_equal_patterns_the_higher_priority_wins_then_the_name(entry: Make) -> None:
    assert Router([entry("a", patterns=["m*"]), entry("z", patterns=["m*"], priority=1)]).route("m").provider.id == "z"
    assert Router([entry("z", patterns=["m*"]), entry("a", patterns=["m*"])]).route("m").provider.id == "a"


def test_a_pattern_without_a_star_is_an_exact_name(entry: Make) -> None:
    router = Router([entry("a", patterns=["only-this"])])
    assert router.route("only-this").provider.id == "a"
    with pytest.raises(UnknownModelError):
        router.route("only-this-not")


def test_an_unknown_model_is_answered_with_near_names_and_the_installed_providers(entry: Make) -> None:
    router = Router([entry("glm", models=["glm-4.6", "glm-4.7"]), entry("echo", models=["echo-1"])])
    with pytest.raises(UnknownModelError) as caught:
        router.route("glm-4.8")
    assert "did you mean glm-4.7 or glm-4.6?" in caught.value.message
    assert "installed providers: echo, glm" in caught.value.message


def test_a_long_name_is_not_echoed_whole(entry: Make) -> None:
    with pytest.raises(UnknownModelError) as caught:
        Router([entry("a", models=["m"])]).route("x" * 255)
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("name", ["x" * 256, "x\n", "x\x00", "x\x1b[31m", "x\u202e", "a/" + "x" * 256])
def test_what_can_be_no_name_is_the_callers_mistake_even_where_a_pattern_fits(entry: Make, name: str) -> None:
    router = Router([entry("a", patterns=["x*"])])
    with pytest.raises(InvalidRequestError) as caught:
        router.route(name)
    assert caught.value.path == "model"


@pytest.mark.parametrize("name", ["../../etc", "x?key=1#", "x%2f..", "模型", "a b", "b/../c"])
def test_a_strange_name_is_just_a_name(entry: Make, name: str) -> None:
    assert Router([entry("a", patterns=["*"])]).route(name).model == name


def test_what_callers_make_up_is_not_remembered_without_bound(entry: Make) -> None:
    router = Router([entry("a", patterns=["*"])])
    for number in range(5000):
        router.route(f"m{number}")
    assert len(router._decided) <= 4096


def test_models_of_one_quota_group_share_it(entry: Make) -> None:
    router = Router([entry("a", models=[ModelInfo(id="m-1", quota_group="g"), "m-2"])])
    assert [(each.quota_group, each.shares_quota) for each in map(router.route, ("m-1", "m-2"))] == [
        ("g", True),
        ("m-2", False),
    ]


class Describing(PlainProvider):
    """Lists nothing, and knows what every name means."""

    def describe_model(self, name: str) -> ModelInfo:
        return ModelInfo(id=name, quota_group=f"group of {name}", max_output_tokens=7)


def test_a_provider_that_describes_models_is_asked_about_names_that_it_does_not_list(entry: Make) -> None:
    described = attrs.evolve(entry("a"), provider=Describing(patterns=["m-*"]))
    route = Router([described]).route("m-new")
    assert (route.model, route.quota_group, route.max_output_tokens) == ("m-new", "group of m-new", 7)
