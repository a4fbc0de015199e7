"""What the kernel says of processes and of the machine: processor time, memory, cores. Linux alone."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

PROC = Path("/proc")
_CPUCLOCK_SCHED = 2
_ESTABLISHED = "01"
_TICKS = os.sysconf("SC_CLK_TCK")


@attrs.frozen
class Cores:
    """Which core the measured gateway has to itself, and which one everything else shares."""

    measured: int
    rest: int

    @classmethod
    def choose(cls) -> Cores:
        """The first two that this process may use. Raises :class:`SystemExit` on a machine with one."""
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < 2:
            raise SystemExit("bench: it takes two cores, one for the gateway and one for upstream and load")
        return cls(allowed[0], allowed[1])

    @contextlib.contextmanager
    def for_the_measured(self) -> Iterator[None]:
        """What is started within runs on the measured core: a process inherits the core of the one that starts it."""
        os.sched_setaffinity(0, {self.measured})
        try:
            yield
        finally:
            self.keep_to_the_rest()

    def keep_to_the_rest(self) -> None:
        """This process, and what it starts from now on, leaves the measured core alone."""
        os.sched_setaffinity(0, {self.rest})


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in (PROC / str(pid) / "task").iterdir():
            for child in (task / "children").read_text().split():
                found += family(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time that a process and its children have used, to the nanosecond; threads that ended count too."""
    total = 0.0
    for each in family(pid):
        with contextlib.suppress(OSError):
            # The clock of another process' processor time, as clock_getcpuclockid(3) makes it.
            total += time.clock_gettime(~each << 3 | _CPUCLOCK_SCHED)
    return total


def memory_mb(pid: int) -> float:
    """Memory of a process and its children in MiB; what several share counts in parts (PSS)."""
    total = 0
    for each in family(pid):
        with contextlib.suppress(OSError):
            lines = (PROC / str(each) / "smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


@attrs.frozen
class CoreTime:
    """Seconds that a core has worked since the machine was started, and that its host took away from it."""

    busy: float
    stolen: float

    @classmethod
    def of(cls, core: int) -> CoreTime:
        """How it stands now."""
        lines = (PROC / "stat").read_text().splitlines()
        [line] = [line for line in lines if line.startswith(f"cpu{core} ")]
        user, nice, system, _, _, irq, softirq, stolen = (int(word) / _TICKS for word in line.split()[1:9])
        return cls(user + nice + system + irq + softirq, stolen)


def connections_to(port: int, pid: int) -> int:
    """Connections that a process has opened to this port of the machine's own."""
    sockets: set[str] = set()
    for file in (PROC / str(pid) / "fd").iterdir():
        with contextlib.suppress(OSError):
            sockets.add(file.readlink().name.removeprefix("socket:[").removesuffix("]"))
    found = [line.split() for line in _lines("net/tcp")[1:]]
    stand = [line for line in found if line[2].endswith(f":{port:04X}") and line[3] == _ESTABLISHED]
    return sum(line[9] in sockets for line in stand)


def description() -> dict[str, object]:
    """The machine, as far as it explains figures; nothing that names it."""
    models = [line.partition(":")[2].strip() for line in _lines("cpuinfo") if line.startswith("model name")]
    [memory] = [int(line.split()[1]) for line in _lines("meminfo") if line.startswith("MemTotal:")]
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1024 / 1024),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "build": build_of_python(),
    }


def build_of_python() -> str:
    """How the interpreter was built: one that learnt of itself takes a third less time.

    Distributions optimise theirs, and some (Debian among them) do so without a word of it in ``CONFIG_ARGS``.
    """
    said = sysconfig.get_config_var("CONFIG_ARGS") or ""
    flags = [flag for flag in ("--enable-optimizations", "--with-lto") if flag in said]
    if flags:
        return f"built {' '.join(flags)}"
    return "as the system brings it" if sys.base_prefix == "/usr" else "built without --enable-optimizations"


def _lines(name: str) -> list[str]:
    return (PROC / name).read_text().splitlines()
