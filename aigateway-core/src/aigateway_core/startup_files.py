"""Files beside the installed packages that run code whenever Python starts, before anything of the gateway does.

A line of a ``.pth`` file that begins with ``import`` is run by :mod:`site`, and so are the modules ``sitecustomize``
and ``usercustomize``. Stolen release keys of well-known packages have been used to plant such files: they run in every
process, and stay when the package that brought them is taken away. So it does not matter here who brought a file, only
whether the operator knows it.
"""

from __future__ import annotations

import site
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

_MODULES = ("sitecustomize", "usercustomize")


def running_at_start(folders: Sequence[Path] | None = None) -> Iterator[Path]:
    """Each file that does, in ``folders``; by default, where this Python looks. What cannot be read counts as one."""
    site_folders = _site_folders() if folders is None else folders
    for folder in site_folders:
        yield from (path for path in sorted(_in(folder, "*.pth")) if _runs(path))
    for folder in dict.fromkeys([*site_folders, *(_path() if folders is None else ())]):
        for name in _MODULES:
            yield from sorted(_in(folder, f"{name}.*"))
            yield from _in(folder, f"{name}/__init__.*")


def unknown(known: Iterable[str], folders: Sequence[Path] | None = None) -> list[Path]:
    """Those whose names are not among ``known``."""
    names = frozenset(known)
    return [path for path in running_at_start(folders) if path.name not in names]


def _runs(path: Path) -> bool:
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return True
    return any(line.startswith(("import ", "import\t")) for line in lines)


def _in(folder: Path, pattern: str) -> Iterator[Path]:
    return (path for path in folder.glob(pattern) if "__pycache__" not in path.parts)


def _site_folders() -> list[Path]:
    own = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return [Path(folder) for folder in (*site.getsitepackages(), *own)]


def _path() -> list[Path]:
    return [Path(folder) for folder in sys.path if folder]
