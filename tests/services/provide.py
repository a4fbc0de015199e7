"""Makes sure that the servers which some tests need can be found: MariaDB and Redis.

Takes what is installed; else, as root, installs it with apt-get; else downloads the packages with apt-get and unpacks
them into a folder (``.tox/servers``), which needs no rights at all. Says in one line what it did.

    python tests/services/provide.py [--unpack]

``--unpack`` goes straight to the folder. ``AIGATEWAY_TEST_SERVERS`` names another one. Needs only the standard library.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

PROGRAMS = ("mariadbd", "mariadb-install-db", "redis-server")
# The cores are the programs alone: no service starts, no system user appears.
PACKAGES = ("mariadb-server-core", "mariadb-client-core", "redis-server", "redis-tools")
SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/sbin")
NO_SERVICES = Path("/usr/sbin/policy-rc.d")


class ProvideError(Exception):
    """The servers cannot be had; the text says why."""


def folder() -> Path:
    """Where packages are unpacked to."""
    chosen = os.environ.get("AIGATEWAY_TEST_SERVERS")
    return Path(chosen) if chosen else Path(__file__).resolve().parents[2] / ".tox" / "servers"


def find(program: str) -> Path | None:
    """The program: from the folder, else from the system."""
    unpacked = [str(folder() / "usr" / part) for part in ("sbin", "bin")]
    path = os.pathsep.join([*unpacked, os.environ.get("PATH", ""), *SYSTEM_FOLDERS])
    found = shutil.which(program, path=path)
    return Path(found) if found else None


def missing() -> list[str]:
    """The programs that are nowhere."""
    return [program for program in PROGRAMS if find(program) is None]


def environment(program: Path) -> dict[str, str]:
    """What the program has to be started with: unpacked ones bring their libraries along."""
    variables = dict(os.environ)
    if folder() in program.parents:
        libraries = {str(library.parent) for library in folder().rglob("*.so*")}
        variables["LD_LIBRARY_PATH"] = os.pathsep.join(sorted(libraries))
    return variables


def prefix(program: Path) -> Path:
    """The ``/usr`` that the program belongs to."""
    return folder() / "usr" if folder() in program.parents else Path("/usr")


def main(arguments: Sequence[str] | None = None) -> int:
    """Provide, say so, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--unpack", action="store_true", help="unpack into the folder, whatever is installed")
    options = parser.parse_args(arguments)
    try:
        done = provide(unpack=options.unpack)
    except ProvideError as error:
        sys.stderr.write(f"test servers: {error}\n")
        return 1
    found = ", ".join(str(find(program)) for program in PROGRAMS)
    sys.stdout.write(f"test servers: {done}: {found}\n")
    return 0


def provide(*, unpack: bool = False) -> str:
    """Do what is needed, and return what it was. Raises :class:`ProvideError`."""
    if not unpack and not missing():
        return "already here"
    if shutil.which("apt-get") is None:
        raise ProvideError(
            f"{', '.join(missing())} not found, and there is no apt-get: install MariaDB and Redis by hand"
        )
    if unpack or os.geteuid() != 0:
        return checked(download())
    try:
        return checked(install())
    except ProvideError as error:
        sys.stderr.write(f"test servers: {error}\n")
        return checked(download())


def checked(done: str) -> str:
    """What was done, if it has helped. Raises :class:`ProvideError`."""
    if lacking := missing():
        raise ProvideError(f"{done}, but {', '.join(lacking)} cannot be found even so")
    return done


def install() -> str:
    """Install with apt-get, as root."""
    run("apt-get", "update", "-q")
    names = available(())
    with services_stay_off():
        run("apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-q", "-y", "--no-install-recommends", *names)
    return f"installed {' '.join(names)}"


def download() -> str:
    """Unpack packages into the folder: by the system's package lists, else by fresh ones of our own."""
    target = folder()
    try:
        names = fetch(target, ())
    except ProvideError:
        own = own_lists(target)
        run("apt-get", *own, "update", "-q")
        names = fetch(target, own)
    return f"unpacked {len(names)} packages into {target}"


def fetch(target: Path, options: Sequence[str]) -> list[str]:
    """Download the packages, with the libraries that this system lacks, and unpack them."""
    archives = target / "archives"
    shutil.rmtree(archives, ignore_errors=True)
    archives.mkdir(parents=True)
    names = available(options)
    plan = run("apt-get", *options, "install", "--simulate", "--no-install-recommends", *names)
    lacking = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
    wanted = sorted({*names, *lacking})
    run("apt-get", *options, "download", "-q", *wanted, cwd=archives)
    for archive in sorted(archives.glob("*.deb")):
        run("dpkg-deb", "--extract", str(archive), str(target))
    shutil.rmtree(archives)
    return wanted


def available(options: Sequence[str]) -> list[str]:
    """The packages as this distribution calls them: older ones put MariaDB's version into the name."""
    names: list[str] = []
    for package in PACKAGES:
        known = run("apt-cache", *options, "pkgnames", package).split()
        fitting = [
            name for name in known if name == package or name.removeprefix(f"{package}-").replace(".", "").isdigit()
        ]
        if not fitting:
            raise ProvideError(f"apt-get knows no package {package}")
        names.append(package if package in fitting else max(fitting))
    return names


def own_lists(target: Path) -> list[str]:
    """Options that make apt keep its lists in the folder, where it needs no rights to write them."""
    state, cache = target / "apt" / "state", target / "apt" / "cache"
    (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (cache / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    settings = {"Dir::State": state, "Dir::State::status": "/var/lib/dpkg/status", "Dir::Cache": cache}
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


@contextlib.contextmanager
def services_stay_off() -> Iterator[None]:
    """While it lasts, a package that brings a service does not start it (Debian's policy-rc.d)."""
    if NO_SERVICES.exists():
        yield
        return
    NO_SERVICES.write_text("#!/bin/sh\nexit 101\n", "ascii")
    NO_SERVICES.chmod(0o755)
    try:
        yield
    finally:
        NO_SERVICES.unlink()


def run(*command: str, cwd: Path | None = None) -> str:
    """The output of a command that asks nothing. Raises :class:`ProvideError` with the end of what it said."""
    variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, cwd=cwd, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise ProvideError(f"{command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        raise ProvideError(f"`{' '.join(command)}` failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
