"""Log lines: readable, one per event, and without secrets or control characters."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from aigateway_core.logs import JsonFormatter, TextFormatter, configure, escape
from aigateway_core.secret import Secret
from aigateway_core.settings import LogSettings

KNOWN = Secret('glm-"secret".without-a-shape')
SHAPED = "sk-abcdefghijklmnopqrst"


@pytest.fixture(autouse=True)
def untouched_root() -> Iterator[None]:
    """Put the process's own logging back afterwards."""
    root = logging.getLogger()
    handlers, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = raising


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


def logged(form: str, say: Callable[[logging.Logger], object], stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    settings = LogSettings(level="debug", format=form)  # type: ignore[arg-type]
    configure(settings, stream, known=lambda: [KNOWN])
    say(logging.getLogger("aigateway.test"))
    return stream.getvalue()


def test_text_is_one_line_with_time_level_logger_and_message() -> None:
    line = logged("text", lambda log: log.warning("%s of %d", "one", 2, extra={"fields": {"port": 8088}}))
    time, rest = line.split(" ", 1)
    assert len(time) == len("12:34:56")
    assert rest == "WARNING aigateway.test: one of 2  port=8088\n"


def test_a_worker_says_its_number() -> None:
    for form, said in (("text", " [2] INFO "), ("json", '"worker":2,')):
        stream = io.StringIO()
        configure(LogSettings(format=form), stream, worker=2)  # type: ignore[arg-type]
        logging.getLogger("aigateway.test").info("hello")
        assert said in stream.getvalue()


def test_json_is_one_object_per_line() -> None:
    line = logged("json", lambda log: log.info("hello", extra={"fields": {"port": 8088, "none": None, "list": [1.5]}}))
    found = json.loads(line)
    assert found.pop("time").endswith("+00:00")
    assert found == {
        "level": "info",
        "logger": "aigateway.test",
        "message": "hello",
        "port": 8088,
        "none": None,
        "list": [1.5],
    }


def test_auto_is_text_on_a_terminal_and_json_elsewhere() -> None:
    assert logged("auto", lambda log: log.info("x")).startswith("{")
    assert "INFO" in logged("auto", lambda log: log.info("x"), Terminal())


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_gets_through(form: str) -> None:
    def say(log: logging.Logger) -> None:
        log.info("%s and %s", SHAPED, KNOWN.reveal())
        log.info(KNOWN.reveal())
        log.info("fields", extra={"fields": {"a": SHAPED, "b": {"c": [KNOWN.reveal()]}, KNOWN.reveal(): "d"}})
        log.info("object %s", KNOWN, extra={"fields": {"secret": KNOWN, "odd": ValueError(SHAPED)}})
        try:
            raise ValueError(f"{SHAPED} {KNOWN.reveal()}")
        except ValueError:
            log.exception("caught", stack_info=True)

    output = logged(form, say)
    assert "ValueError" in output
    for secret in (SHAPED, KNOWN.reveal(), "without-a-shape"):
        assert secret not in output
    assert output.count("***") >= 10


def test_a_traceback_is_indented_so_that_no_text_in_it_can_pass_for_a_line_of_its_own() -> None:
    def say(log: logging.Logger) -> None:
        try:
            raise ValueError("first\n12:00:00 INFO aigateway: forged\x1b[2J")
        except ValueError:
            log.exception("caught")

    first, *trace = logged("text", say).splitlines()
    assert first.endswith("ERROR aigateway.test: caught")
    assert all(line.startswith("  | ") for line in trace)
    assert trace[-1] == r"  | 12:00:00 INFO aigateway: forged\x1b[2J"
    assert json.loads(logged("json", say))["traceback"].startswith("Traceback")


@pytest.mark.parametrize("form", ["text", "json"])
@given(text=st.text())
def test_whatever_is_logged_stays_one_line(form: str, text: str) -> None:
    formatter = TextFormatter() if form == "text" else JsonFormatter()
    record = logging.LogRecord("n", logging.INFO, "", 0, "%s", (text,), None)
    record.fields = {"value": text}
    line = formatter.format(record)
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line


def test_control_characters_are_spelled_out() -> None:
    assert escape("a\nb\x1b[0m\u2028\u202e\x9b é 😀") == r"a\nb\x1b[0m\u2028\u202e\x9b é 😀"


def test_arguments_that_do_not_fit_are_told_and_do_not_print_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    line = logged("text", lambda log: log.info("%d things", SHAPED))
    assert "%d things (logged with arguments that do not fit)" in line
    captured = capsys.readouterr()
    assert captured.err == ""
    assert SHAPED not in line


def test_an_argument_that_raises_in_its_repr_loses_only_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken:
        @override
        def __str__(self) -> str:
            raise RuntimeError(SHAPED)

    def say(log: logging.Logger) -> None:
        log.info("%s", Broken())
        log.info("next")

    assert "next" in logged("text", say)
    assert SHAPED not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["httpx", "aiohttp.client", "uvicorn.error"])
def test_libraries_are_heard_from_warnings_up(name: str) -> None:
    def say(_: logging.Logger) -> Any:
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).warning("trouble")

    output = logged("text", say)
    assert "trouble" in output
    assert "chatter" not in output


def test_the_level_is_the_settings() -> None:
    stream = io.StringIO()
    configure(LogSettings(level="error"), stream)
    logging.getLogger("aigateway.test").warning("quiet")
    logging.getLogger("aigateway.test").error("loud")
    assert len(stream.getvalue().splitlines()) == 1
    assert json.loads(stream.getvalue())["message"] == "loud"


def test_configuring_twice_does_not_log_twice() -> None:
    stream = io.StringIO()
    configure(LogSettings(), io.StringIO())
    configure(LogSettings(), stream)
    logging.getLogger("aigateway.test").info("once")
    assert len(stream.getvalue().splitlines()) == 1
