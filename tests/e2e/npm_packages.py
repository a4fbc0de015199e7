"""npm packages that tests run: the exact versions of a lock file, in a folder that is kept between runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = "AIGATEWAY_TEST_NPM_FOLDER"
"""The environment variable that says where to install; without it nothing is installed, and the tests are skipped."""


def installed(source: Path) -> Path:
    """The folder in which ``npm ci`` has installed what the ``package-lock.json`` in ``source`` names.

    Scripts of packages are not run. No file here says where a registry is: that is npm's own setting.
    """
    if FOLDER not in os.environ:
        pytest.skip(f"needs npm and {FOLDER}: run tox -e clients, or tox -e real-upstream")
    folder = Path(os.environ[FOLDER]) / source.name
    wanted, kept = source / "package-lock.json", folder / "installed.json"
    if kept.exists() and kept.read_bytes() == wanted.read_bytes():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(source / name, folder)
    _run_npm(folder)
    shutil.copy(wanted, kept)
    return folder


def _run_npm(folder: Path) -> None:
    # tox hands on where certificates are under OpenSSL's name alone; Node has a name of its own for it.
    certificates = os.environ.get("NODE_EXTRA_CA_CERTS", os.environ.get("SSL_CERT_FILE", ""))
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder)]
    subprocess.run(command, check=True, timeout=600, env={**os.environ, "NODE_EXTRA_CA_CERTS": certificates})
