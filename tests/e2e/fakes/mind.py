"""The small model that answers in every fake vendor: asked the same thing, it does the same thing.

What it does is steered by the conversation alone:

* ``use the tool NAME with {json}`` (several times, for several calls at once) makes it call tools that it has; what
  stands behind ``then`` is for the next step, when those calls have been answered;
* tool results after the last step make it say what the tools answered;
* ``say something unsafe`` makes the vendor's filter stop it;
* a turn of ``<system-reminder>`` alone is no turn;
* anything else is echoed, with the system prompt, the pictures and the number of the turn: a test sees what arrived.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal, TypeAlias

import attrs

Finish: TypeAlias = Literal["stop", "stop_sequence", "length", "tool_calls", "filter"]

CACHED = 8
"""How many tokens of every prompt count as read from the vendor's cache."""

_TOOL_REQUEST = re.compile(r"use the tool ([A-Za-z0-9_-]+) with (?=\{)")
_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>|</system-reminder>", re.DOTALL)
_THEN = re.compile(r"\bthen (?=use the tool )")


@attrs.frozen(kw_only=True)
class Result:
    """What a tool answered."""

    text: str
    failed: bool = False


@attrs.frozen(kw_only=True)
class Turn:
    """One turn, as far as the model cares."""

    role: Literal["user", "assistant", "results"]
    text: str = ""
    images: int = 0
    results: tuple[Result, ...] = ()


@attrs.frozen(kw_only=True)
class Prompt:
    """What a vendor understood of a request; ``must_call`` is a tool's name, or ``*`` for any."""

    turns: tuple[Turn, ...]
    system: str = ""
    tools: tuple[str, ...] = ()
    must_call: str | None = None
    may_call: bool = True
    parallel: bool = True
    thinking: bool = False
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Call:
    """A call of a tool; ``arguments`` is JSON text."""

    name: str
    arguments: str


@attrs.frozen(kw_only=True)
class Answer:
    """What the model says, and what it cost. ``output_tokens`` counts the thinking too."""

    text: str = ""
    thinking: str = ""
    calls: tuple[Call, ...] = ()
    finish: Finish = "stop"
    stop_sequence: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


def think(prompt: Prompt, *, instead: str | None = None) -> Answer:
    """The answer to ``prompt``; ``instead`` replaces its text."""
    prompt = attrs.evolve(prompt, turns=_without_reminders(prompt.turns))
    # Vendors take a system prompt alone, or a turn without any content, and answer.
    last = prompt.turns[-1] if prompt.turns else Turn(role="user")
    calls = _calls(prompt, last)
    text = instead if instead is not None else _text(prompt, last, calls)
    thinking = f"Thinking about: {_subject(last)}" if prompt.thinking else ""
    finish: Finish = "tool_calls" if calls else "stop"
    if last.role == "user" and "say something unsafe" in last.text:
        finish, text = "filter", "I would rather"
    answer = Answer(text=text, thinking=thinking, calls=calls, finish=finish)
    return _counted(_limited(answer, prompt), prompt)


def words(text: str) -> list[str]:
    """``text`` in pieces that make it up again, as a model streams it: a word with the space before it."""
    return re.findall(r"\s*\S+|\s+$", text)


def _without_reminders(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Agents add reminders to a conversation, behind the results of tools too: they ask for nothing."""
    kept = []
    for turn in turns:
        if turn.role != "user" or _REMINDER.sub("", turn.text).strip() or not turn.text:
            kept.append(turn)
        elif turn.results:
            kept.append(attrs.evolve(turn, role="results", text=""))
    return tuple(kept) or turns


def _subject(turn: Turn) -> str:
    """What a turn is about: of a request, not what a client has put before it."""
    request = _TOOL_REQUEST.search(turn.text)
    text = turn.text[request.start() :] if request else turn.text
    return text or "; ".join(result.text for result in turn.results)


def _calls(prompt: Prompt, last: Turn) -> tuple[Call, ...]:
    if last.role == "assistant" or not prompt.tools or not prompt.may_call:
        return ()
    wanted = tuple(call for call in _requested(_step(prompt.turns)) if call.name in prompt.tools)
    if not wanted and last.role == "user" and prompt.must_call is not None:
        name = prompt.tools[0] if prompt.must_call == "*" else prompt.must_call
        wanted = (Call(name=name, arguments="{}"),)
    return wanted if prompt.parallel else wanted[:1]


def _step(turns: tuple[Turn, ...]) -> str:
    """What the user asked to be done now: of the steps in the last request, the one that has no results yet."""
    answered = 0
    for turn in reversed(turns):
        if turn.role == "user":
            steps = _THEN.split(turn.text)
            return steps[answered] if answered < len(steps) else ""
        answered += turn.role == "results"
    return ""


def _requested(text: str) -> list[Call]:
    decoder = json.JSONDecoder()
    found = []
    for match in _TOOL_REQUEST.finditer(text):
        arguments, _ = decoder.raw_decode(text, match.end())
        found.append(Call(name=match[1], arguments=_json(arguments)))
    return found


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _text(prompt: Prompt, last: Turn, calls: tuple[Call, ...]) -> str:
    if calls:
        return f"Calling {' and '.join(call.name for call in calls)}."
    if last.role == "results":
        return " ".join(
            f"The tool {'failed' if result.failed else 'answered'}: {result.text}" for result in last.results
        )
    turn = sum(turn.role == "user" for turn in prompt.turns)
    notes = [f"[system: {prompt.system}]"] if prompt.system else []
    notes += [f"[images: {last.images}]"] if last.images else []
    return " ".join([f"echo: {last.text}", *notes, f"[turn {turn}]"])


def _limited(answer: Answer, prompt: Prompt) -> Answer:
    for stop in prompt.stop:
        before, found, _ = answer.text.partition(stop)
        if found:
            return attrs.evolve(answer, text=before, calls=(), finish="stop_sequence", stop_sequence=stop)
    pieces = words(answer.text)
    if prompt.max_tokens is not None and len(pieces) > prompt.max_tokens:
        return attrs.evolve(answer, text="".join(pieces[: prompt.max_tokens]), calls=(), finish="length")
    return answer


def _counted(answer: Answer, prompt: Prompt) -> Answer:
    reasoning = len(words(answer.thinking))
    spoken = len(words(answer.text)) + 5 * len(answer.calls)
    read = " ".join([prompt.system, *(turn.text + _subject(turn) for turn in prompt.turns)])
    return attrs.evolve(
        answer,
        input_tokens=CACHED + 12 + len(words(read)) + 85 * sum(turn.images for turn in prompt.turns),
        output_tokens=reasoning + spoken,
        reasoning_tokens=reasoning,
    )
