"""What an agent is sent to do: leave a note in one file, and tell what stands in another."""

from __future__ import annotations

import json
from pathlib import Path

from e2e.clients.agents import Agent, Desk
from e2e.gateway_process import CLIENT_KEY

DEPTH = "the-fjord-is-637-metres-deep"
"""What the agent cannot know before it has read the file."""

NOTE = "moor-at-the-east-pier"


def errand(agent: Agent, *, url: str, model: str, npm: Path, place: Path, proxy: str) -> str:
    """The last words of an agent that has done the task in a folder of its own, below ``place``."""
    home, folder = place / "home", place / "files"
    home.mkdir(parents=True)
    folder.mkdir()
    (folder / "depth.txt").write_text(DEPTH, encoding="utf-8")
    steps = [agent.write(folder / "note.txt", NOTE), agent.read(folder / "depth.txt")]
    task = " then ".join(f"use the tool {name} with {json.dumps(given)}" for name, given in steps)
    desk = Desk(url=url, key=CLIENT_KEY, model=model, home=home, folder=folder, npm=npm, proxy=proxy)
    last_words = agent.work(task, desk)
    assert (folder / "note.txt").read_text(encoding="utf-8").strip() == NOTE
    return last_words
