"""The start screen, as text."""

from __future__ import annotations

import io
import shlex
from pathlib import Path

import attrs
import pytest
from rich.console import Console

from aigateway_core import __version__
from aigateway_core.cli.screen import Facts, Page, ShownProvider
from aigateway_core.secret import Secret

ECHO = ShownProvider(id="echo", title="Echo", models=["echo-1"], has_account=True, is_free=True)
OPENAI = ShownProvider(id="openai", title="OpenAI", models=["gpt-1", "gpt-2"])
KEY = Secret("gwadm_abcdefgh_" + "x" * 43)
FACTS = Facts(
    host="127.0.0.1",
    port=8088,
    providers=[OPENAI, ECHO],
    plugins=["echo  (aigateway-echo 0.1.0)"],
    database="/data/aigateway.db",
)


def shown(facts: Facts) -> str:
    output = io.StringIO()
    Page(facts, Console(file=output, width=80)).show()
    return output.getvalue()


def next_command(facts: Facts) -> str:
    (line,) = [line for line in shown(facts).splitlines() if line.startswith("Next: ")]
    return line.removeprefix("Next: ")


def test_the_screen_says_where_what_and_what_next() -> None:
    assert (
        shown(FACTS)
        == f"""\
aigateway {__version__} listens on http://127.0.0.1:8088

  plugins    echo  (aigateway-echo 0.1.0)
  providers  openai  (OpenAI)  has no account yet
             echo  (Echo)
  models     echo-1
  database   /data/aigateway.db
  settings   no file, defaults
  clients    need no key on this machine; behind a front server set server.client_auth: required

Next: curl -s 127.0.0.1:8088/v1/chat/completions -H 'Content-Type: application/json' -d \
'{{"model":"echo-1","messages":[{{"role":"user","content":"hello"}}]}}'
"""
    )


def test_the_next_command_asks_a_model_that_nobody_is_charged_for_first() -> None:
    facts = attrs.evolve(FACTS, providers=[attrs.evolve(OPENAI, has_account=True), ECHO])
    assert '"model":"echo-1"' in next_command(facts)


def test_the_next_command_asks_a_model_that_is_ready() -> None:
    facts = attrs.evolve(FACTS, providers=[attrs.evolve(OPENAI, has_account=True)])
    assert '"model":"gpt-1"' in next_command(facts)


def test_the_next_command_names_the_provider_when_its_models_are_not_known() -> None:
    facts = attrs.evolve(FACTS, providers=[ShownProvider(id="local", has_account=True)])
    assert '"model":"local/MODEL"' in next_command(facts)


def test_the_next_command_adds_an_account_while_there_is_none() -> None:
    assert next_command(attrs.evolve(FACTS, providers=[OPENAI])) == "aigateway-core accounts add openai"
    logging_in = attrs.evolve(OPENAI, logs_in=True)
    assert next_command(attrs.evolve(FACTS, providers=[logging_in])) == "aigateway-core login openai"


def test_the_next_command_installs_a_provider_while_there_is_none() -> None:
    assert next_command(attrs.evolve(FACTS, providers=[])).startswith("pip install a provider")


def test_the_next_command_is_one_that_a_shell_understands() -> None:
    facts = attrs.evolve(FACTS, clients_need_a_key=True, providers=[attrs.evolve(ECHO, models=["it's $HOME"])])
    words = shlex.split(next_command(facts))
    assert words[:2] == ["curl", "-s"]
    assert words[3:5] == ["-H", "Authorization: Bearer YOUR_CLIENT_KEY"]
    assert words[5:8] == ["-H", "Content-Type: application/json", "-d"]
    assert words[8] == '{"model":"it\'s $HOME","messages":[{"role":"user","content":"hello"}]}'


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8088"),
        ("0.0.0.0", "http://localhost:8088"),
        ("::", "http://localhost:8088"),
        ("::1", "http://[::1]:8088"),
        ("gateway.internal", "http://gateway.internal:8088"),
    ],
)
def test_the_url_is_one_that_can_be_opened_here(host: str, url: str) -> None:
    assert attrs.evolve(FACTS, host=host).url == url


@pytest.mark.parametrize(
    ("need", "local", "is_open", "words"),
    [
        (True, True, False, "need a key"),
        (False, True, False, "need no key on this machine; behind a front server set server.client_auth: required"),
        (False, True, True, "need no key on this machine; nor does whoever comes through a proxy on it"),
        (False, False, True, "need no key, FROM ANYWHERE"),
    ],
)
def test_the_screen_says_who_may_call(need: bool, local: bool, is_open: bool, words: str) -> None:
    facts = attrs.evolve(FACTS, clients_need_a_key=need, is_local=local, is_open=is_open)
    assert f"  clients    {words}\n" in shown(facts)


def test_a_new_admin_key_stands_alone_on_its_line_and_is_never_wrapped() -> None:
    lines = shown(attrs.evolve(FACTS, admin_key=KEY)).splitlines()
    assert f"  admin key  {KEY.reveal()}" in lines


def test_a_key_that_went_into_a_file_is_not_shown() -> None:
    output = shown(attrs.evolve(FACTS, admin_key_file=Path("/data/admin-key")))
    assert "in /data/admin-key, which only you can read" in output


def test_a_start_that_fails_before_its_screen_still_gives_the_key_away_once() -> None:
    output = io.StringIO()
    page = Page(attrs.evolve(FACTS, admin_key=KEY), Console(file=output, width=80))
    page.show_unseen_key()
    assert output.getvalue() == f"The new admin key, shown this once: {KEY.reveal()}\n"
    page.show()
    page.show_unseen_key()
    assert output.getvalue().count(KEY.reveal()) == 2


def test_risks_settings_and_waiting_providers_are_told() -> None:
    facts = attrs.evolve(
        FACTS,
        providers=[attrs.evolve(ECHO, risk="it repeats everything", advice="say more")],
        waiting=["needy needs providers.needy.client_id"],
        config=Path("config.yaml"),
    )
    output = shown(facts)
    assert "  note       echo: it repeats everything\n             echo: say more\n" in output
    assert "  waiting    needy needs providers.needy.client_id\n" in output
    assert "  settings   config.yaml\n" in output


def test_many_models_are_counted_and_not_listed() -> None:
    facts = attrs.evolve(FACTS, providers=[attrs.evolve(ECHO, models=[f"m{number}" for number in range(9)])])
    assert "  models     m0, m1, m2, m3, m4, m5 and 3 more\n" in shown(facts)


def test_a_plugins_text_cannot_move_the_cursor_or_mark_up_the_screen() -> None:
    output = shown(attrs.evolve(FACTS, providers=[attrs.evolve(ECHO, title="a\x1b[2Jb [red]c[/red]")]))
    assert r"a\x1b[2Jb [red]c[/red]" in output


def test_d_18_a_screen_that_cannot_be_shown_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    with Path("/dev/full").open("w") as full:
        Page(FACTS, Console(file=full, width=80)).show()
        assert "the screen cannot be shown: No space left on device" in caplog.text
        full.write("and what is said there afterwards harms nobody either")
        full.flush()


def test_a_start_whose_admin_key_nobody_could_see_fails() -> None:
    full = Path("/dev/full").open("w")  # noqa: SIM115 - its closing fails too
    with pytest.raises(OSError, match="No space left"):
        Page(attrs.evolve(FACTS, admin_key=KEY), Console(file=full, width=80)).show()
    with pytest.raises(OSError, match="No space left"):
        full.close()
