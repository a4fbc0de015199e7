"""What the plugin's README says of its settings is so."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import yaml

from aigateway_antigravity.config import AntigravityConfig

README = (Path(__file__).resolve().parents[2] / "aigateway-antigravity" / "README.md").read_text(encoding="utf-8")
FIELDS = [field.name for field in attrs.fields(AntigravityConfig)]


def test_the_table_of_settings_has_every_one_of_them_and_no_other() -> None:
    table = README.partition("| key of `providers.antigravity` |")[2].partition("\n\n")[0]
    told = [name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(told) == sorted(FIELDS)


def test_the_configuration_in_it_has_what_must_be_there_and_nothing_that_is_not() -> None:
    [block] = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    section = yaml.safe_load(block)["providers"]["antigravity"]
    required = {field.name for field in attrs.fields(AntigravityConfig) if field.default is attrs.NOTHING}
    assert required <= section.keys() <= set(FIELDS)


def test_the_risk_is_told_before_anything_else() -> None:
    headings = re.findall(r"^## (.+)$", README, re.MULTILINE)
    assert headings[0] == "The risk"
    assert "violation of Terms of Service" in README
