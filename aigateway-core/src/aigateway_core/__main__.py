"""``python -m aigateway_core`` is ``aigateway-core``."""

from __future__ import annotations

from aigateway_core.cli import main

main()
