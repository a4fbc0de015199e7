"""How hard the laws are tried: a little in every run, very hard at night.

``AIGATEWAY_TEST_PROFILE=nightly`` is what ``tox -e nightly`` sets; see CONTRIBUTING.md.
"""

from __future__ import annotations

import os

from hypothesis import settings

NIGHTLY = os.environ.get("AIGATEWAY_TEST_PROFILE") == "nightly"
EXAMPLES_AT_NIGHT = int(os.environ.get("AIGATEWAY_TEST_EXAMPLES", "10000"))


def budget(examples: int) -> settings:
    """So many examples by day, the same ones in every run; at night 10,000 that differ from night to night."""
    if not NIGHTLY:
        return settings(max_examples=examples)
    return settings(max_examples=EXAMPLES_AT_NIGHT, print_blob=True)
