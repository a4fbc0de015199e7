"""The conformance suite catches what it is there to catch, and leaves a good provider alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from core.testing.broken_providers import FAULTS, Good

from aigateway_core.testing import ProviderConformance

BROKEN = Path(__file__).with_name("broken_providers.py")


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """Class and test of everything in broken_providers.py that fails, from one run of pytest over it."""
    report = tmp_path_factory.mktemp("report") / "report.xml"
    command = [sys.executable, "-m", "pytest", str(BROKEN), f"--junitxml={report}", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout + run.stderr
    return {
        (case.attrib["classname"].rpartition(".")[2], case.attrib["name"].partition("[")[0])
        for case in ET.parse(report).iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    }


def test_a_good_provider_passes(failed: set[tuple[str, str]]) -> None:
    assert not [test for name, test in failed if name == f"Test{Good.__name__}"]


@pytest.mark.parametrize(("kind", "test"), FAULTS.items(), ids=lambda value: getattr(value, "__name__", value))
def test_a_fault_is_caught_by_its_test(failed: set[tuple[str, str]], kind: type[Good], test: str) -> None:
    assert (f"Test{kind.__name__}", test) in failed, [
        caught for name, caught in failed if name == f"Test{kind.__name__}"
    ]


def test_nearly_every_required_test_has_a_fault_that_it_catches() -> None:
    tests = {name for name in vars(ProviderConformance) if name.startswith("test_")}
    # One is of a provider's own declaration, one follows from the others.
    unproved = {"test_a_plain_request_is_not_refused_beforehand", "test_no_answer_is_left_open"}
    assert tests == set(FAULTS.values()) | unproved


def test_what_is_not_optional_cannot_be_left_out() -> None:
    with pytest.raises(TypeError, match="not optional: streaming"):
        type("TestLazy", (ProviderConformance,), {"without": {"streaming": "too hard"}})
