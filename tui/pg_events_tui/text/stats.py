"""Statistics of the events seen by the console. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pg_events.text.formatting import format_bytes, format_seconds
from pg_events_tui.model.rates import percentiles
from pg_events_tui.text.health import Health
from pg_events_tui.text.lines import Line, line, span, table


@dataclass(frozen=True)
class Stats:
    """Data of `:stats`."""

    health: Health
    shown: int
    marked: int
    kinds: Mapping[str, int]
    """Number of events by kind: INSERT, DDL."""
    tables: Mapping[str, int]
    lags: Sequence[float]
    rss_bytes: int


def stats_lines(stats: Stats) -> list[Line]:
    """Format totals, then the kinds, then the tables, the busiest first."""
    health = stats.health
    lag = percentiles(stats.lags)
    facts = [
        ("kept", f"{health.kept:,} events, {format_bytes(health.kept_bytes)} on disk"),
        ("shown", f"{stats.shown:,}"),
        ("marked", f"{stats.marked:,}"),
        ("received", f"{health.link.since_start:,} since the console started"),
        ("lag", f"p50 {format_seconds(lag[0])}  p99 {format_seconds(lag[1])}  max {format_seconds(lag[2])}" if lag else "–"),
        ("memory", format_bytes(stats.rss_bytes)),
    ]  # fmt: skip
    busiest = sorted(stats.tables.items(), key=lambda one: (-one[1], one[0]))
    return [
        *table([(span(f" {name}", "label"), span(text)) for name, text in facts]),
        line(),
        *table([(span(f" {name}", "strong"), span(f"{count:,}")) for name, count in stats.kinds.items() if count]),
        line(),
        *table([(span(f" {name}"), span(f"{count:,}", "number")) for name, count in busiest]),
    ]
