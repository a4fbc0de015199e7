"""Real refusals of GLM: what each means, and what it costs the account that met it. The others' are in tests/core."""

from __future__ import annotations

import pytest
from core.refusals_of_vendors import (
    BAD_KEY,
    BANNED,
    BROKEN,
    FILTERED,
    INVALID,
    NO_MODEL,
    NO_MONEY,
    OVERLOADED,
    TOO_LONG,
    Refusal,
    account,
    limited,
    model,
)

from aigateway_core.errors import ErrorKind as Kind
from aigateway_glm import GLMConfig, GLMProvider


def glm(code: str, message: str) -> dict[str, dict[str, str]]:
    return {"error": {"code": code, "message": message}}


REFUSALS = [
    Refusal("authentication", 401, glm("1000", "Authentication Failed"), BAD_KEY),
    Refusal("an account that is locked", 429, glm("1112", "account locked"), BANNED),
    Refusal("violations", 429, glm("1121", "locked for violations"), BANNED),
    Refusal("no balance", 429, glm("1113", "余额不足或无可用资源包,请充值。"), NO_MONEY),
    Refusal("parameters", 400, glm("1210", "API 调用参数有误"), INVALID),
    Refusal("parameters, flat", 400, {"code": "1210", "message": "no"}, INVALID),
    Refusal("an unknown model", 400, glm("1211", "模型不存在"), NO_MODEL),
    Refusal("a permission", 403, glm("1220", "no permission"), (Kind.CREDENTIAL, "model", model(300))),
    Refusal("a full context", 400, glm("1261", "Prompt 超长"), TOO_LONG),
    Refusal("a filter", 400, glm("1301", "系统检测到不安全或敏感内容"), FILTERED),
    Refusal("too many at a time", 429, glm("1302", "并发数过高"), limited(5)),
    Refusal("too often", 429, glm("1303", "频率过高"), limited(30)),
    Refusal("a busy platform", 429, glm("1305", "The service may be overloaded"), OVERLOADED),
    Refusal("a plan without the model", 429, glm("1311", "not included"), (Kind.QUOTA, "model", model(3600))),
    Refusal("fair use", 429, glm("1313", "fair use"), (Kind.RATE_LIMIT, "account", account(3600))),
    Refusal("an error of its own", 500, glm("500", "internal"), BROKEN),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_glms_refusals_cost_what_they_should(refusal: Refusal) -> None:
    refusal.check(GLMProvider(GLMConfig()).classify_error)
