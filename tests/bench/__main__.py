"""``python -m bench``: measure this gateway beside others on this machine. See the README beside this file."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any

from bench import report
from bench.growth import Growth
from bench.machine import Cores, description
from bench.measure import Bench, Plan
from bench.modes import EVERY, QUICK, chosen
from bench.peers import PEERS
from bench.targets import Direct, Embedded, Nginx, Production, Target, Upstream
from bench.tools import build
from services.private_servers import running

NAMES = ("direct", "nginx", "aigateway", "aigateway-production", *(peer.name for peer in PEERS))
_ALWAYS = ("direct", "aigateway")
_VERSIONS = ("aigateway-core", "falcon", "uvicorn", "uvloop", "httptools", "aiohttp", "httpx", "orjson")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write the figures; the exit code is 1 if there is nothing to compare."""
    options = _options(arguments)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _end)  # an end like any other: everything that was started ends with it
    modes = chosen(options.modes or (QUICK if options.quick else [mode.name for mode in EVERY]))
    targets = options.targets or (NAMES[:3] if options.quick else NAMES)
    starts = options.starts or (1 if options.quick else 3)
    plan = Plan(
        modes=modes, rounds=options.rounds, seconds=options.seconds, warmup=min(1.0, options.seconds / 2), starts=starts
    )
    folder = options.folder.resolve()
    build(folder)
    cores = Cores.choose()
    cores.keep_to_the_rest()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        (scratch / "upstream").mkdir()
        upstream = stack.enter_context(running(Upstream(scratch / "upstream", folder)))
        bench = Bench(upstream, cores, plan, folder, scratch)
        growth = Growth(upstream, cores, folder, scratch, options.seconds)
        try:
            if options.growth:
                growth.run(options.rounds)
            else:
                bench.run(_targets(targets, scratch, upstream, cores, folder, stack))
        finally:
            results = {**_results(bench, plan), "growth": growth.rows}
            options.out.write_text(report.text_of(results))
    sys.stdout.write(report.tables(results))
    sys.stdout.write(f"\nfigures: {options.out}\n")
    return 0 if results["runs"] or results["growth"] else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few modes, no peers: under three minutes")
    parser.add_argument("--targets", nargs="+", choices=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--modes", nargs="+", metavar="PATTERN", help="e.g. 'whole-native-*' '*-c16'")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement (wrk takes whole ones)")
    parser.add_argument("--starts", type=int, help="how often each target is started")
    parser.add_argument("--growth", action="store_true", help="how costs grow, instead of how gateways compare")
    parser.add_argument("--folder", type=Path, default=Path("bench"), help="for programs and peers, kept between runs")
    parser.add_argument("--out", type=Path, default=Path("bench.json"), help="where the figures go")
    return parser.parse_args(arguments)


def _targets(
    names: Sequence[str], scratch: Path, upstream: Upstream, cores: Cores, folder: Path, services: ExitStack
) -> list[Target]:
    every: list[Target] = [
        Direct(scratch / "direct", upstream, cores),
        Nginx(scratch / "nginx", upstream, cores),
        Embedded(scratch / "aigateway", upstream, cores),
        Production(scratch / "aigateway-production", upstream, cores, services),
        *(peer(scratch / peer.name, upstream, cores, folder) for peer in PEERS),
    ]
    wanted = {*names, *_ALWAYS}
    return [target for target in every if target.name in wanted]


def _results(bench: Bench, plan: Plan) -> dict[str, Any]:
    found = bench.findings
    packages = {peer.name: peer.version() for peer in PEERS if peer.name in found.started}
    return {
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": description(),
        "versions": {**{name: metadata.version(name) for name in _VERSIONS}, **packages},
        "plan": {"rounds": plan.rounds, "seconds": plan.seconds, "load": bench.tool_for_whole},
        "targets": found.started,
        "left_out": found.left_out,
        "cannot": {name: {kind: why for kind, why in kinds.items() if why} for name, kinds in found.cannot.items()},
        "runs": found.runs,
    }


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
