"""What was aimed at, and whether it was reached. A target whose workload was not run is left out."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Mapping[str, Any]]

_COMPARE = {"≥": operator.ge, "≤": operator.le}


@dataclass(frozen=True)
class Outcome:
    target: str
    measured: float
    is_met: bool


def outcomes(figures: Figures) -> list[Outcome]:
    found: list[Outcome] = []
    for what, value, sign, bound in _targets(figures):
        try:
            measured = value()
        except KeyError:
            continue
        found.append(Outcome(f"{what} {sign} {bound:,}", round(measured, 2), _COMPARE[sign](measured, bound)))
    return found


def _targets(figures: Figures) -> list[tuple[str, Callable[[], float], str, float]]:
    def named(begin: str, end: str = "") -> Mapping[str, Any]:
        for title, figure in figures.items():
            if title.startswith(begin) and title.endswith(end):
                return figure
        raise KeyError(begin)

    one, many, read = (
        "oltp, 1 clients: server CPU µs/tx",
        "oltp, 32 clients: tx/s",
        "oltp, 32 clients, read at once: tx/s",
    )
    return [
        ("throughput with capture ÷ without, 32 clients", lambda: figures[many]["ratio"]["pg_events"], "≥", 0.75),
        ("… ÷ the NOTIFY design, both read at once", lambda: figures[read]["pg_events"] / figures[read]["notify"], "≥", 2),
        (
            "server CPU a transaction ÷ the NOTIFY design, 1 client",
            lambda: figures[one]["pg_events"] / figures[one]["notify"], "≤", 1,
        ),
        ("INSERT … SELECT ÷ without", lambda: named("INSERT … SELECT", "ms")["ratio"]["pg_events"], "≤", 3.5),
        ("UPDATE ÷ without", lambda: named("UPDATE", "ms")["ratio"]["pg_events"], "≤", 4),
        ("a row of the longer VALUES ÷ of the shorter", lambda: named("INSERT … VALUES, cost")["pg_events"], "≤", 1.2),
        ("delivery, events a second", lambda: max(named("delivery of", "events: events/s").values()), "≥", 100_000),
        ("… in batches ÷ one by one", lambda: max(named("delivery of", "÷ one by one").values()), "≥", 2.5),
        ("… ÷ the best of the others", lambda: figures["delivery ÷ the best of the others"]["times"], "≥", 8),
        ("latency when idle, p50 ms", lambda: named("latency at", "tx/s: ms")["p50"], "≤", 2),
        ("latency when idle, p99 ms", lambda: named("latency at", "tx/s: ms")["p99"], "≤", 10),
        ("latency flat out, p99 ms", lambda: named("latency at", "flat out: ms")["p99"], "≤", 50),
        ("poll, most kept ÷ fewest", lambda: figures["idle poll: µs"]["last ÷ first"], "≤", 1.2),
        ("build with nothing to do, s", lambda: named("build of", ": s")["nothing to do"], "≤", 1),
        ("build with nothing to do, table locks", lambda: named("build of", "meet")["taken"], "≤", 0),
        (
            "longest wait of a writer during a build ÷ the lock timeout",
            lambda: (figure := named("build of", "them: ms"))["longest transaction during"] / figure["lock timeout"], "≤", 1,
        ),
        *_ddl_targets(figures),
    ]  # fmt: skip


def _ddl_targets(figures: Figures) -> list[tuple[str, Callable[[], float], str, float]]:
    """Each in a database without other tables, and beside thousands."""
    found: list[tuple[str, Callable[[], float], str, float]] = []
    for title, figure in figures.items():
        beside, _, command = title.removesuffix(", ms").rpartition(": ")
        if not beside.startswith("DDL "):
            continue
        more = figure["CPU captured"] - figure["CPU plain"]
        if command == "CREATE TABLE":
            found.append(
                (f"{beside}: CPU of CREATE TABLE ÷ without", lambda figure=figure: figure["CPU times"], "≤", 2)
            )
        elif command == "ADD COLUMN":
            found.append((f"{beside}: CPU of ADD COLUMN more than without, ms", lambda more=more: more, "≤", 1))
        elif command == "ATTACH":
            found.append((f"{beside}: CPU of ATTACH more than without, ms", lambda more=more: more, "≤", 5))
    return found
