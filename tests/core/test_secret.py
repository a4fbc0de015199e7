"""A secret shows nowhere, and is taken out of foreign text in whatever form it is quoted."""

from __future__ import annotations

import base64
import copy
import json
import logging
import pickle
from urllib.parse import quote, quote_plus

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aigateway_core.jsontext import dumps
from aigateway_core.secret import MASK, Secret, scrub

VALUE = "hush-0123456789-abcd"
SECRET = Secret(VALUE)

keys = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40)
prose = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@attrs.frozen
class Holder:
    secret: Secret


def test_only_reveal_gives_the_value() -> None:
    assert SECRET.reveal() == VALUE


@pytest.mark.parametrize(
    "shown",
    [
        repr(SECRET),
        str(SECRET),
        f"{SECRET}",
        f"{SECRET!r:>40}",
        "%s %r" % (SECRET, SECRET),  # noqa: UP031 - the old way is what logging does
        "{}".format(SECRET),  # noqa: UP032 - one more way to print
        repr([SECRET]),
        repr({"key": SECRET}),
        repr(Holder(SECRET)),
        repr(attrs.asdict(Holder(SECRET))),
        json.dumps({"key": SECRET}, default=str),
    ],
)
def test_no_way_of_printing_shows_it(shown: str) -> None:
    assert "hush" not in shown
    assert MASK in shown


def test_it_does_not_reach_a_log(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("test").warning("the key is %s", SECRET)
    assert caplog.messages == [f"the key is {MASK}"]


def test_it_cannot_leave_the_process_by_accident() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(SECRET)
    with pytest.raises(TypeError):
        copy.deepcopy(SECRET)
    with pytest.raises(TypeError):
        dumps({"key": SECRET})


def test_it_has_no_dictionary_to_walk_through() -> None:
    assert not hasattr(SECRET, "__dict__")


def test_secrets_compare_by_value_and_with_secrets_alone() -> None:
    assert Secret(VALUE) == SECRET
    assert hash(Secret(VALUE)) == hash(SECRET)
    assert Secret(VALUE + "x") != SECRET
    assert SECRET != VALUE


def test_bytes_from_the_environment_that_are_no_utf8_can_be_compared() -> None:
    odd = b"caf\xe9-and-more".decode(errors="surrogateescape")
    assert Secret(odd) == Secret(odd)
    assert Secret(odd) != SECRET


def test_an_empty_secret_is_false() -> None:
    assert SECRET
    assert not Secret("")


@pytest.mark.parametrize(("value", "last4"), [(VALUE, "abcd"), ("123456789012", "9012"), ("12345678901", ""), ("", "")])
def test_four_characters_show_where_enough_others_stay_hidden(value: str, last4: str) -> None:
    assert Secret(value).last4 == last4


@given(prose, keys, prose)
def test_a_known_secret_is_always_taken_out(before: str, key: str, after: str) -> None:
    assume(key not in MASK)
    assume(key not in before + MASK + after)
    assert key not in scrub(before + key + after, [Secret(key)])


@given(keys, keys)
def test_a_secret_that_begins_another_leaves_no_rest_of_it(short: str, tail: str) -> None:
    assume(tail not in MASK + short)
    secrets = [Secret(short), Secret(short + tail)]
    assert scrub(f"<{short}{tail}>", secrets) == scrub(f"<{short}{tail}>", secrets[::-1])
    assert tail not in scrub(f"<{short}{tail}>", secrets)


@pytest.mark.parametrize(
    "form",
    [
        lambda value: value,
        lambda value: quote(value, safe=""),
        quote_plus,
        lambda value: base64.b64encode(value.encode()).decode(),
        lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
        json.dumps,
    ],
    ids=["plain", "percent", "plus", "base64", "base64url", "json"],
)
@pytest.mark.parametrize("value", ["pass word/with+signs?", 'quote"and\\slash', "ümläut-passwort", "plain-enough"])
def test_a_known_secret_is_taken_out_in_the_forms_that_servers_echo(form: object, value: str) -> None:
    assert callable(form)
    echoed = form(value).strip('"')
    assert echoed not in scrub(f"refused: {echoed}!", [Secret(value)])


def test_a_secret_too_short_to_tell_from_text_is_left() -> None:
    assert scrub("a, b and abc", [Secret("a"), Secret(""), Secret("abc")]) == "a, b and abc"


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-proj-HUSH1234567890_abc. You can find",
        "key sk-ant-api03-HUSH1234567890",
        "Authorization: Bearer HUSH.1234567890.abc",
        "authorization: bearer HUSH1234567890==",
        'headers {"Authorization":"Bearer HUSH1234567890"}',
        "https://host/v1?key=AIzaHUSH123456789012345678901234567",
        "https://host/v1?alt=sse&key=HUSH12345678",
        "https://host/cb?access_token=HUSH12345678&x=1",
        "https://host/cb?code=HUSH12345678",
        "token ya29.HUSH-1234567890abc",
        "gwcli_HUSH1234567890",
        "gwadm_HUSH1234567890",
        "eyJhbGciOiJI.HUSH1234567.HUSH456",
        "proxy http://user:HUSH@10.0.0.1:3128/ failed",
        "proxy socks5://HUSH:pass@host",
        "proxy http://user:pass@HUSH@host/",
        "proxy http://user:HUSH/slash@host/",
        "proxy http://:HUSH@host/",
    ],
)
def test_what_looks_like_a_credential_is_taken_out(text: str) -> None:
    assert "HUSH" not in scrub(text)
    assert MASK in scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        "the risk-assessment of a task-force is not a key",
        "This model's maximum context length is 8192 tokens, however you requested 9000 tokens",
        "https://example.com/docs?page=2#section",
        "https://example.com/@user/post",
        "https://example.com:8080/path, mail me@example.com",
        "messages[0].content: expected a string",
        "the bearer of this letter",
        "",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert scrub(text) == text


def test_scrubbing_a_long_text_stays_quick() -> None:
    text = "://" * 20_000 + "bearer " * 20_000 + "sk-" * 20_000 + "a" * 100_000
    assert scrub(text, [SECRET])


@given(prose)
def test_scrubbing_twice_changes_nothing_more(text: str) -> None:
    once = scrub(text, [SECRET])
    assert scrub(once, [SECRET]) == once
