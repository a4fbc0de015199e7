"""Builds every distribution as a wheel and installs the wheels, so that tests run on what users get.

Usage: python tests/wheels.py FOLDER. What the wheels depend on must be there already; ``pip check`` has the last word.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(folder: Path) -> None:
    sources = sorted(
        path.parent for path in [*ROOT.glob("aigateway-*/pyproject.toml"), *ROOT.glob("examples/*/pyproject.toml")]
    )
    shutil.rmtree(folder, ignore_errors=True)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), *map(str, sources))
    pip("install", "--no-index", "--no-deps", "--force-reinstall", *map(str, sorted(folder.glob("*.whl"))))
    pip("check")


def pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", *arguments, "--quiet"], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
