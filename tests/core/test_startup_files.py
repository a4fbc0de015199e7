"""Files that run code whenever Python starts are found, and stop a start that does not know them."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from aigateway_core.errors import PluginError
from aigateway_core.plugins import PluginLoader
from aigateway_core.settings import PluginsSettings, load
from aigateway_core.startup_files import running_at_start, unknown


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Like site-packages: what adds a folder to the path runs nothing."""
    (tmp_path / "paths.pth").write_text("/opt/somewhere\n# import os\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "deep.pth").write_text("import os\n")
    return tmp_path


def test_x_02_a_folder_without_any_has_none(folder: Path) -> None:
    assert list(running_at_start([folder])) == []


@pytest.mark.parametrize(
    "name", ["evil.pth", ".hidden.pth", "sitecustomize.py", "usercustomize.py", "sitecustomize.cpython-311.so"]
)
def test_x_02_a_file_that_runs_at_every_start_is_found_whoever_brought_it(folder: Path, name: str) -> None:
    (folder / name).write_text("import os; os.environ\n")
    assert [path.name for path in running_at_start([folder])] == [name]
    assert unknown([name], [folder]) == []


def test_x_02_a_line_of_code_is_found_among_others_and_so_is_a_package(folder: Path) -> None:
    (folder / "mixed.pth").write_bytes(b"/opt/somewhere\r\nimport\tos\r\n\xff\n")
    (folder / "sitecustomize").mkdir()
    (folder / "sitecustomize" / "__init__.py").touch()
    assert [path.name for path in running_at_start([folder])] == ["mixed.pth", "__init__.py"]


def test_x_02_a_start_that_was_told_which_there_may_be_refuses_others_and_names_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("site.getsitepackages", lambda: [str(folder)])
    monkeypatch.setattr("site.ENABLE_USER_SITE", None)
    monkeypatch.setattr("sys.path", [str(folder)])
    evil = folder / "evil.pth"
    evil.write_text("import os\n")
    nothing: frozenset[str] = frozenset()
    for known in (nothing, {"other.pth"}):
        with pytest.raises(PluginError) as refused:
            PluginLoader(PluginsSettings(allowed=nothing, startup_files=frozenset(known))).load()
        assert str(evil) in str(refused.value)
        assert refused.value.exit_code == 78
    for known_or_none in (None, frozenset({"evil.pth"})):
        PluginLoader(PluginsSettings(allowed=nothing, startup_files=known_or_none)).load()


def test_x_02_in_an_environment_of_its_own_it_is_found_where_python_finds_it(tmp_path: Path) -> None:
    """A real environment, with the core on its path by a plain ``.pth`` file, and another that runs code."""
    venv.create(tmp_path / "env", symlinks=True)
    (site_packages,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    (site_packages / "core.pth").write_text("".join(f"{folder}\n" for folder in sys.path if folder))
    command = [
        str(tmp_path / "env" / "bin" / "python"),
        "-c",
        "from aigateway_core.startup_files import unknown; print([path.name for path in unknown(())])",
    ]

    def seen() -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    assert "evil.pth" not in seen()
    (site_packages / "evil.pth").write_text("import os\n")
    assert "evil.pth" in seen()


def test_x_02_the_setting_is_a_list_of_names(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("plugins: {startup_files: [_virtualenv.pth]}\n")
    assert load(file, {}).plugins.startup_files == {"_virtualenv.pth"}
    file.write_text("plugins: {startup_files: []}\n")
    assert load(file, {}).plugins.startup_files == frozenset()
    assert load(environ={}).plugins.startup_files is None
