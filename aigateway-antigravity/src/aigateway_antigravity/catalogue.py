"""Which model a client's name means, and which models there are to be listed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import get_args

import attrs

from aigateway_antigravity.config import AntigravityConfig
from aigateway_antigravity.models import ALIASES, FORMER, MODELS, PATTERNS, Asked, Model, unlisted
from aigateway_core.plugin import Effort, JsonObject, ModelInfo

_CLAUDE_WORDS = (("opus", "claude-opus-4-6"), ("sonnet", "claude-sonnet-4-6"), ("haiku", "claude-sonnet-4-6"))
"""Claude's generations and dates come and go: a word in the name decides. There is no Haiku; its jobs are Sonnet's."""

_CLAUDE_TIERS = {"low": 8192, "medium": 16_384, "high": 32_768}
_LEVELS: tuple[Effort, ...] = ("minimal", "low", "medium", "high")
_EFFORTS: tuple[Effort, ...] = get_args(Effort)
_IN_PARENTHESES = re.compile(r"(?P<name>.+)\((?P<word>[a-z]{1,10}|[0-9]{1,7})\)")
_INTERNAL = re.compile(r"(chat_|tab_).*")
_VENDORS = re.compile(r"claude|gemini|gpt-oss")
_SMALL = "gemini-3-flash"
"""Listed first: what an account is tested with costs little, and is what most accounts have."""

_MOST = 500
"""Models that are learned, at most."""

_LONGEST_CHAIN = 4
"""Names that one name may lead to, one after another."""


class Catalogue:
    """Which models there are, and which one a client's name means.

    It begins with what is known, and is corrected by what accounts tell (:meth:`learn`): from then on, a model that
    no account has is found by its name still, but not listed.
    """

    def __init__(self, config: AntigravityConfig) -> None:
        self._aliases = _by_precision(config.aliases)
        self._configured = tuple(name for name in config.models if not name.endswith("*"))
        self._web_search_model = config.web_search_model
        self._models = {model.id: model for model in MODELS}
        self._models |= {name: unlisted(name) for name in self._configured if name not in self._models}
        self._present: frozenset[str] | None = None
        self._replaced: Mapping[str, str] = {}
        self._searching: tuple[str, ...] = ()
        wild = (name for name in (*config.models, *config.aliases) if name.endswith("*") and name.count("*") == 1)
        self.patterns: Sequence[str] = tuple(dict.fromkeys((*PATTERNS, *wild)))
        self.infos: Sequence[ModelInfo] = self._listed()

    def find(self, name: str) -> Asked:
        """What this name means. One that nobody knows is that of a model which is asked for as it is."""
        alias = next((alias for alias in self._aliases if alias.fits(name)), None)
        name = alias.target if alias else name
        return self._built_in(name) or Asked(model=unlisted(_bare(name)))

    def info(self, name: str) -> ModelInfo:
        """What is known of the model that this name means, under this name."""
        return self.find(name).model.info(name)

    @property
    def web_search_model(self) -> str:
        """The model for requests that only search: the configured one, unless the accounts name others."""
        if not self._searching or self._web_search_model in self._searching:
            return self._web_search_model
        return self._searching[0]

    def learn(self, answer: JsonObject) -> None:
        """Take in what an account was told by ``fetchAvailableModels``. What cannot be read is passed over."""
        found = {name: told for name, told in _objects(answer.get("models")).items() if is_a_model(name)}
        present = (self._present or frozenset()) | found.keys()
        if not found or len(present) > _MOST:
            return
        learned = {name: _corrected(self._models.get(name) or unlisted(name), told) for name, told in found.items()}
        self._models = {**self._models, **learned}
        self._present = present
        newer = {old: told.get("newModelId") for old, told in _objects(answer.get("deprecatedModelIds")).items()}
        replaced = {
            **self._replaced,
            **{old: new for old, new in newer.items() if isinstance(new, str) and is_a_model(new)},
        }
        self._replaced = {old: new for old, new in replaced.items() if old not in present}
        searching = answer.get("webSearchModelIds")
        self._searching = tuple(filter(is_a_model, searching)) if isinstance(searching, list) else self._searching
        self.infos = self._listed()

    # -- names

    def _built_in(self, name: str) -> Asked | None:
        """By the names of the table and of the accounts, without the operator's own."""
        name = _bare(name)
        if (model := self._known(name)) is not None:
            return Asked(model=model)
        if (inner := _IN_PARENTHESES.fullmatch(name)) is not None:
            return self._told(inner["name"], inner["word"])
        if name.startswith("gemini-claude-"):
            return self._built_in(name.removeprefix("gemini-"))
        for ending in ("-preview-customtools", "-preview"):
            if name.endswith(ending):
                return self._built_in(name.removesuffix(ending))
        base, _, tier = name.rpartition("-")
        if name.startswith("claude-"):
            return self._claude(base, tier) if tier in _CLAUDE_TIERS else self._claude(name, "")
        if tier in _LEVELS and (model := self._known(base)) is not None:
            return Asked(model=model, effort=next(level for level in _LEVELS if level == tier))
        return None

    def _told(self, name: str, word: str) -> Asked | None:
        """``model(high)`` and ``model(8192)``."""
        asked = self._built_in(name)
        if asked is None:
            return None
        if word.isdigit():
            return attrs.evolve(asked, budget=int(word), effort=None)
        effort = next((effort for effort in _EFFORTS if effort == word), None)
        return None if effort is None else attrs.evolve(asked, effort=effort, budget=None)

    def _claude(self, name: str, tier: str) -> Asked | None:
        model = self._known(name)
        if model is None:
            model = next((self._known(known) for word, known in _CLAUDE_WORDS if word in name), None)
        return None if model is None else Asked(model=model, budget=_CLAUDE_TIERS.get(tier))

    def _known(self, name: str) -> Model | None:
        """The model of this name, of an alias of it, or what has taken its place."""
        now = name
        for _ in range(_LONGEST_CHAIN):
            newer = self._replaced.get(now)
            if newer is None and now not in self._models:
                newer = ALIASES.get(now) or FORMER.get(now)
            if newer is None:
                break
            now = newer
        return self._models.get(now) or (unlisted(now) if now != name else None)

    def _listed(self) -> Sequence[ModelInfo]:
        here = self._models.keys() if self._present is None else self._present | {*self._configured}
        wanted = [alias.name for alias in self._aliases if not alias.is_pattern]
        names = sorted(here, key=lambda name: (name != _SMALL, name))
        found = {name: self.find(name).model for name in (*names, *ALIASES, *wanted)}
        return tuple(model.info(name) for name, model in found.items() if name in wanted or model.id in here)


def _bare(name: str) -> str:
    """Without what is no part of it: how Google's clients write it, a mark of Claude Code's, our own prefix."""
    return name.removeprefix("models/").removesuffix("[1m]").removeprefix("antigravity-")


def is_a_model(name: object) -> bool:
    """Whether this names a model to talk to: some are parts of an editor's own machinery."""
    if not isinstance(name, str) or not name.isprintable() or len(name) > 200:
        return False
    return _INTERNAL.fullmatch(name) is None and _VENDORS.search(name) is not None


def _corrected(model: Model, told: JsonObject) -> Model:
    """The model with the limits that an account is told. What a proto3 answer leaves out may be false or unknown."""
    title = told.get("displayName")
    return attrs.evolve(
        model,
        title=title[:100] if isinstance(title, str) and title else model.title,
        context_window=_tokens(told.get("maxTokens")) or model.context_window,
        max_output_tokens=_tokens(told.get("maxOutputTokens")) or model.max_output_tokens,
        thinking="none" if told.get("supportsThinking") is False else model.thinking,
    )


def _tokens(value: object) -> int | None:
    """A number of tokens; proto3 writes large ones as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _objects(value: object) -> dict[str, JsonObject]:
    return {name: each for name, each in value.items() if isinstance(each, dict)} if isinstance(value, dict) else {}


# -- the operator's names


@attrs.frozen
class _Alias:
    """A name of the operator's, in which ``*`` stands for anything, and what it leads to."""

    name: str
    target: str

    @property
    def is_pattern(self) -> bool:
        return "*" in self.name

    def fits(self, name: str) -> bool:
        return re.fullmatch(".*".join(map(re.escape, self.name.split("*"))), name) is not None


def _by_precision(aliases: Mapping[str, str]) -> list[_Alias]:
    """Exact names first, then the patterns that say the most."""
    every = [_Alias(name, target) for name, target in aliases.items()]
    return sorted(every, key=lambda alias: (alias.is_pattern, -len(alias.name.replace("*", ""))))
