"""Where a fake Cloud Code tells accounts their projects, models and quotas."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Set

from e2e.fakes import cloud_code_accounts, cloud_code_errors
from e2e.fakes.cloud_code_accounts import Accounts, CloudAccount, Left
from e2e.fakes.cloud_code_models import MODELS, RETIRED
from e2e.fakes.cloud_code_schemas import unknown
from e2e.fakes.gemini_rules import plain
from e2e.fakes.mind import Answer, Prompt
from e2e.fakes.vendor import Exchange, JsonObject, Problem

_METADATA = {"ideType", "ideVersion", "ideName", "platform", "pluginType", "duetProject"}
_FIELDS = {
    "loadCodeAssist": {"metadata", "cloudaicompanionProject", "mode"},
    "onboardUser": {"tierId", "metadata", "cloudaicompanionProject"},
    "fetchAvailableModels": {"project"},
    "retrieveUserQuota": {"project"},
}


class OfficeWire:
    """``loadCodeAssist``, ``onboardUser`` and what accounts have; the method stands where others have a model."""

    path = "/v1internal:{model:loadCodeAssist|onboardUser|fetchAvailableModels|retrieveUserQuota}"

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._ids = itertools.count(1)

    def authenticate(self, exchange: Exchange, keys: Set[str]) -> Problem | None:
        problem = cloud_code_accounts.authenticate(exchange, keys)
        if problem is None and exchange.model == "fetchAvailableModels" and "project" in exchange.json:
            account = self._accounts.by_email[exchange.owner]
            return Problem("The caller does not have permission", status=403) if account.strict_models else None
        return problem

    def check(self, exchange: Exchange, scripted: Set[str]) -> Iterator[Problem]:
        yield from cloud_code_accounts.header_problems(exchange)
        body, method = plain(exchange.json), exchange.model
        yield from (unknown(name, "") for name in sorted(body.keys() - _FIELDS[method]))
        account = self._accounts.by_email[exchange.owner]
        if "metadata" in _FIELDS[method]:
            yield from _metadata(body.get("metadata"))
        if method == "onboardUser":
            yield from _boarding(body, account)
        if method == "retrieveUserQuota" or "project" in body:
            yield from cloud_code_accounts.project_problems(body.get("project"), account.project)

    def headers(self) -> dict[str, str]:
        return {"server-timing": "gfet4t7; dur=112"}

    def understand(self, body: JsonObject) -> Prompt:
        return Prompt(turns=())

    def whole(self, body: JsonObject, answer: Answer) -> JsonObject:
        account, asked = self._accounts.by_email[body["owner"]], plain(body)
        match body["model"]:
            case "loadCodeAssist":
                return _loaded(account)
            case "onboardUser":
                return self._boarded(account, asked["tierId"])
            case "fetchAvailableModels":
                return _models(account)
            case _:
                return {"buckets": [_bucket(name, account.quota(name)) for name in MODELS]}

    def frames(self, body: JsonObject, answer: Answer) -> Iterator[bytes]:
        return iter(())

    def error(self, problem: Problem) -> JsonObject:
        return cloud_code_errors.told(problem)

    def error_frame(self) -> bytes:
        return b""

    def _boarded(self, account: CloudAccount, tier: str) -> JsonObject:
        """An operation that takes its time: who asks again is told how far it has come."""
        account.boarded_as.append(tier)
        operation: JsonObject = {"name": f"operations/{next(self._ids):06d}"}
        if len(account.boarded_as) <= account.polls:
            return {**operation, "done": False}
        account.project = account.project or account.grants
        kind = "type.googleapis.com/google.internal.cloud.code.v1internal.OnboardUserResponse"
        project = {"id": account.project, "name": account.project, "projectNumber": "123456789"}
        response = {"@type": kind, **({"cloudaicompanionProject": project} if account.project else {})}
        return {**operation, "done": True, "response": response}


def _metadata(metadata: object) -> Iterator[Problem]:
    if not isinstance(metadata, dict):
        yield Problem("metadata is not specified", where="metadata")
        return
    yield from (unknown(name, "metadata") for name in sorted(metadata.keys() - _METADATA))
    if metadata.get("ideType") != "ANTIGRAVITY":
        yield Problem(f"ide_type {metadata.get('ideType')!r} has no access", where="metadata.ideType")


def _boarding(body: JsonObject, account: CloudAccount) -> Iterator[Problem]:
    tier = body.get("tierId")
    current = (account.current_tier or {}).get("id")
    if tier not in {"free-tier", "legacy-tier", current, *(one["id"] for one in account.allowed_tiers)}:
        yield Problem(f"Invalid tier: {tier!r}", where="tierId")
    if tier == "free-tier" and "cloudaicompanionProject" in body:
        yield Problem("Precondition Failed", where="cloudaicompanionProject")


def _loaded(account: CloudAccount) -> JsonObject:
    project = {"id": account.project} if account.as_object else account.project
    told = {
        "cloudaicompanionProject": project if account.project else None,
        "currentTier": account.current_tier,
        "paidTier": account.paid_tier,
        "allowedTiers": list(account.allowed_tiers),
        "ineligibleTiers": list(account.ineligible_tiers),
    }
    return {name: value for name, value in told.items() if value}


def _models(account: CloudAccount) -> JsonObject:
    models: JsonObject = {
        name: {
            "displayName": model.title,
            "maxTokens": model.context,
            "maxOutputTokens": model.most_output,
            "supportsImages": model.family != "gpt-oss",
            "supportsThinking": model.budgets is not None,
            "quotaInfo": _quota(account.quota(name)),
        }
        for name, model in MODELS.items()
    }
    # What the program uses for itself.
    models["tab_flash_lite_preview"] = {"displayName": "Tab"}
    return {
        "models": models,
        "deprecatedModelIds": {old: {"newModelId": new} for old, new in RETIRED.items()},
        "webSearchModelIds": [name for name, model in MODELS.items() if model.searches],
    }


def _bucket(model: str, left: Left) -> JsonObject:
    return {"modelId": model, "tokenType": "REQUESTS", **_quota(left)}


def _quota(left: Left) -> JsonObject:
    """Where nothing is left, the fraction is left out: proto3 does not write a zero."""
    told = {"resetTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(left.reset))}
    return told if left.fraction is None else {**told, "remainingFraction": left.fraction}
