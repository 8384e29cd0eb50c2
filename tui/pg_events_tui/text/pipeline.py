"""Pipeline as lines of text: link, lag, rates, consumers, failed events, transactions. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from typing import Any, Final

from pg_events.diff import changes
from pg_events.text import counted, one_line
from pg_events.text.formatting import format_bytes, format_seconds
from pg_events_tui.model.backend import Activity, Consumer, DatabaseHealth, Failed
from pg_events_tui.model.rates import Series, TableRates, percentiles
from pg_events_tui.text.health import Health, lag_words, state_words
from pg_events_tui.text.lines import (
    HANG,
    Item,
    Line,
    crop,
    fit,
    fit_right,
    line,
    plot,
    span,
    sparkline,
    text_lines,
)

FACES: Final = ("Rates", "Failed", "Consumers", "Transactions")
ALL: Final = "(all)"

RATE_ORDER: Final[Mapping[str, str]] = {
    "now": "events a second now",
    "most": "most in one second",
    "total": "events in all",
    "last": "last event",
    "table": "table",
}

Items = list[Item]


@dataclass(frozen=True)
class Numbers:
    """Data of the two top panes."""

    health: Health
    told: DatabaseHealth | None
    problem: str
    """Reason why the database did not answer."""
    lags: Sequence[float]
    tick_seconds: Sequence[float]
    """Durations of the console's last ticks."""
    rss_bytes: int
    zone: tzinfo | None


def _fact(name: str, text: str, role: str = "", note: str = "") -> Line:
    return line(span(f"{name:<9} ", "label"), HANG, span(text, role), span(f"  {note}" if note else "", "note"))


def link_lines(n: Numbers, cells: int) -> list[Line]:
    """Describe the connection to the database, for a pane of this width."""
    return _cropped(_link_lines(n), cells)


def _cropped(lines: list[Line], cells: int) -> list[Line]:
    """Shorten each fact to one line."""
    return [crop(one, cells) for one in lines]


def _link_lines(n: Numbers) -> list[Line]:
    link, told = n.health.link, n.told
    state, role = state_words(n.health)
    since = format_seconds(max(0.0, n.health.now.timestamp() - link.since))
    lines = [_fact("database", n.health.database, "strong", f"PostgreSQL {told.server_version}" if told else "")]
    if link.state in ("reading", "saved"):
        return [*lines, _fact("state", state, role), _fact("events", f"{link.received:,}", "", link.reason)]
    role_words = (told.role if told else "not known") + (" (read-only)" if n.health.read_only else "")
    lines += [_fact("role", role_words), _fact("link", f"{state} for {since}", role, link.reason)]
    if told:
        answer = format_seconds(told.answer_seconds) if told.answer_seconds >= 0.001 else "under 1 ms"
        lines.append(_fact("answer", "none", "bad") if n.problem else _fact("answer", answer))
    lost = f"the last time for {format_seconds(link.down_seconds)}" if link.reconnects else ""
    lines += [_fact("lost", counted(link.reconnects, "time"), "", lost)]
    lines.append(_fact("received", counted(link.since_start, "event"), "", "since the start"))
    lines.append(_fact("before", counted(link.past, "event"), "", "at the start"))
    return lines


def pipeline_lines(n: Numbers, cells: int) -> list[Line]:
    """Describe the way from commit to the console, and its cost."""
    return _cropped(_pipeline_lines(n), cells)


def _pipeline_lines(n: Numbers) -> list[Line]:
    found = percentiles(n.lags)
    lag = (
        f"p50 {format_seconds(found[0])}  p99 {format_seconds(found[1])}  max {format_seconds(found[2])}"
        if found
        else "none yet"
    )
    ticks = percentiles(n.tick_seconds)
    told = n.told
    kept = f"{n.health.kept:,} events, {format_bytes(n.health.kept_bytes)}"
    lines = [
        _fact("lag", lag, *(["warning"] if found and found[1] > 2 else [])),
        _fact("rate", f"{n.health.rate:,.1f}/s", "", "now"),
        _fact("now", lag_words(n.health)[0].removeprefix("lag ")),
        _fact("here", kept, "", "on disk"),
        _fact("log", f"{told.log_events:,} events, {format_bytes(told.log_bytes)}" if told else n.problem or "asking …",
              "", "as it was before" if told and n.problem else ""),
        _fact("console", f"tick {ticks[1] * 1000:.1f} ms  memory {format_bytes(n.rss_bytes)}" if ticks else ""),
    ]  # fmt: skip
    if n.health.recorded_bytes is not None:
        lines.append(_fact("record", format_bytes(n.health.recorded_bytes), "bad"))
    return lines


def face_tabs(face: int, told: DatabaseHealth | None) -> Line:
    counts = {
        "Failed": sum(one.failed for one in told.consumers) if told else 0,
        "Consumers": len(told.consumers) if told else 0,
        "Transactions": len(told.activity) if told else 0,
    }
    parts = [span(" ")]
    for number, name in enumerate(FACES):
        count = counts.get(name, 0)
        text = f"{name} {count}" if count else name
        bad = name == "Failed" and count
        role = "tab" if number == face else "warning" if bad else "note"
        parts.append(span(f"[{text}]" if number == face else f" {text} ", role))
    return line(*parts)


def empty_words(face: str, told: DatabaseHealth | None, problem: str) -> Sequence[str]:
    if face == "Rates":
        return ("no event has arrived since the console started",)
    if problem:
        return ("cannot ask the database", problem)
    if told is None:
        return ("asking the database …",)
    return {
        "Failed": ("no failed events",),
        "Consumers": ("no consumer yet: start a worker",),
        "Transactions": ("none: nothing is open for over 5 s, nothing waits for a lock",),
    }[face]


# ── The lists ──


def rows_of(
    face: str, told: DatabaseHealth | None, rates: TableRates, now: float, cells: int, sort: str, zone: tzinfo | None
) -> tuple[Line, Items]:
    """Heading and rows of a face."""
    if face == "Rates":
        return _rate_rows(rates, now, cells, sort)
    if told is None:
        return (), []
    if face == "Failed":
        return _failed_rows(told.failed, zone)
    if face == "Consumers":
        return _consumer_rows(told.consumers)
    return _activity_rows(told.activity)


def _rate_rows(rates: TableRates, now: float, cells: int, sort: str) -> tuple[Line, Items]:
    name_cells = min(max([len(name) for name in rates.tables] or [8]), 32, max(12, cells - 47))
    wide = cells >= name_cells + 64  # including the cursor sign and a scrollbar
    has_minute = cells >= name_cells + 47
    head = fit("table", name_cells) + fit_right("now/s", 8) + "  " + (fit("1 min", 15) + "  " if has_minute else "")
    head += (fit("1 h", 15) + "  " if wide else "") + fit_right("max/s", 7) + fit_right("all", 11)
    order: dict[str, Callable[[tuple[str, Series]], Any]] = {
        "now": lambda one: (-one[1].per_second(now), one[0]),
        "most": lambda one: -one[1].most,
        "total": lambda one: -one[1].total,
        "last": lambda one: -one[1].last,
        "table": lambda one: one[0],
    }
    items: Items = [
        (name, partial(_rate_line, name, series, now, name_cells, wide=wide, has_minute=has_minute))
        for name, series in sorted(rates.tables.items(), key=order[sort])
    ]
    return line(span(head, "heading")), items


def _rate_line(name: str, series: Series, now: float, name_cells: int, *, wide: bool, has_minute: bool) -> Line:
    rate = series.per_second(now)
    return line(
        span(fit(span(name).text, name_cells), "schema" if name == "ddl" else ""),
        span(fit_right(f"{rate:,.1f}" if rate < 10 else f"{rate:,.0f}", 8), "strong" if rate else "note"),
        span("  " + sparkline(series.by_second(now, 15, 4)).rjust(15) if has_minute else "", "plot"),
        span("  " + sparkline(series.by_minute(now, 60)[-60::4]).rjust(15) if wide else "", "plot"),
        span("  " + fit_right(f"{series.most:,}", 7), "note"),
        span(fit_right(f"{series.total:,}", 11), "note"),
    )


def _failed_rows(failed: Sequence[Failed], zone: tzinfo | None) -> tuple[Line, Items]:
    items: Items = [
        (
            (one.consumer, one.event_id),
            line(
                span(f"{_clock(one.failed_at, zone)}  ", "note"),
                span(f"#{one.event_id:<9} "),
                span(fit(span(one.consumer).text, 14) + " "),
                span(
                    "RETRY " if one.state == "retry" else f"{one.attempts}×    ",
                    "warning" if one.state == "retry" else "note",
                ),
                span(one_line(one.error), "bad"),
            ),
        )
        for one in failed
    ]
    return line(span(f"{'when':<16}{'event':<11}{'consumer':<15}{'':<6}error", "heading")), items


def _consumer_rows(consumers: Sequence[Consumer]) -> tuple[Line, Items]:
    items: Items = []
    for one in consumers:
        behind = f"{one.behind_events:,}" if one.behind_events else "0"
        items.append(
            (
                one.name,
                line(
                    span(fit(span(one.name).text, 18) + " "),
                    span(f"{_worker(one):<9}", "good" if _worker(one) == "running" else "warning"),
                    span(fit_right(behind, 10), "warning" if one.behind_events else "note"),
                    span(fit_right(format_seconds(one.behind_seconds) if one.behind_events else "", 11), "note"),
                    span(fit_right(f"{one.failed:,}", 7), "bad" if one.failed else "note"),
                    span(fit_right(f"{one.delivered:,}", 12), "note"),
                ),
            )
        )
    head = f"{'consumer':<19}{'worker':<9}{'behind':>10}{'for':>11}{'failed':>7}{'delivered':>12}"
    return line(span(head, "heading")), items


def _worker(one: Consumer) -> str:
    return "paused" if one.is_paused else "running" if one.is_running else "stopped"


def _activity_rows(activity: Sequence[Activity]) -> tuple[Line, Items]:
    items: Items = [
        (
            (one.pid, one.query),
            line(
                span(f"{one.pid or '':<8}"),
                span(fit_right(format_seconds(one.seconds), 12) + "  ", "warning" if one.seconds > 60 else ""),
                span(f"{_activity_words(one):<24} ", "bad" if one.waits_for else "note"),
                span(fit(span(one.application_name or one.user_name or "").text, 16) + " "),
                span(one_line(one.query or ""), "note"),
            ),
        )
        for one in activity
    ]
    return line(span(f"{'pid':<8}{'open for':>12}  {'state':<25}{'application':<17}statement", "heading")), items


def _activity_words(one: Activity) -> str:
    if one.waits_for:
        return f"waits: {one.waits_for}"[:24]
    return {"idle in transaction": "IDLE in transaction", "prepared": "PREPARED"}.get(
        one.state or "", one.state or "not shown"
    )


def _clock(at: datetime, zone: tzinfo | None) -> str:
    return f"{at.astimezone(zone):%m-%d %H:%M:%S}"


# ── The detail ──


def detail(
    face: str, key: object, told: DatabaseHealth | None, rates: TableRates, now: float, cells: int, zone: tzinfo | None
) -> tuple[str, list[Line]]:
    """Title and text of the selected row."""
    if face == "Rates":
        series = rates.tables.get(str(key))
        return (str(key), _rate_detail(series, now, cells)) if series else ("No table", [])
    if face == "Failed" and told:
        for one in told.failed:
            if (one.consumer, one.event_id) == key:
                return f"#{one.event_id} of {one.consumer}", failed_lines(one, zone)
    if face == "Consumers" and told:
        for one in told.consumers:
            if one.name == key:
                return one.name, _consumer_detail(one)
    if face == "Transactions" and told:
        for one in told.activity:
            if (one.pid, one.query) == key:
                return f"pid {one.pid}" if one.pid else "prepared", _activity_detail(one)
    return "Nothing selected", []


def _rate_detail(series: Series, now: float, cells: int) -> list[Line]:
    lines: list[Line] = []
    wide = min(60, max(10, cells - 2))
    for title, values, unit in (
        (f"the last {wide} seconds", series.by_second(now, wide), "/s"),
        (f"the last {wide} minutes", series.by_minute(now, wide), "/min"),
    ):
        lines.append(line(span(title, "heading"), span(f"  at most {max(values):,}{unit}", "note")))
        lines += [line(span(row, "plot")) for row in plot(values, 4)]
        lines += [line(span("─" * wide, "note")), line()]
    ago = format_seconds(max(0.0, now - series.last))
    lines.append(line(span("last event ", "label"), span(f"{ago} ago"), span(f" · {series.total:,} in all", "note")))
    return [*lines, line(), line(span("L", "key"), span(" shows its events in Live"))]


def failed_lines(one: Failed, zone: tzinfo | None) -> list[Line]:
    """Format the error, traceback and payload of a failed event."""
    try:
        payload = changes.pretty(changes.row_of(one.payload))
    except (ValueError, RecursionError):
        payload = one.payload
    return [
        line(
            span("gave up  ", "label"), span(f"{_clock(one.failed_at, zone)} after {counted(one.attempts, 'attempt')}")
        ),
        line(),
        *text_lines(one.error, "bad"),
        line(),
        *text_lines(one.traceback.rstrip()),
        line(),
        line(span("payload", "heading")),
        *text_lines(payload),
    ]


def _consumer_detail(one: Consumer) -> list[Line]:
    behind = (
        f"{counted(one.behind_events, 'event')}, the oldest {format_seconds(one.behind_seconds)} old"
        if one.behind_events
        else "nothing"
    )
    lines = [
        _fact("worker", _worker(one), "good" if _worker(one) == "running" else "warning"),
        _fact("behind", behind, "warning" if one.behind_events else ""),
        _fact("failed", f"{one.failed:,}", "bad" if one.failed else "", "see Failed" if one.failed else ""),
        _fact("delivered", f"{one.delivered:,}"),
    ]
    if one.is_paused:
        lines += [line(), line(span("p", "key"), span(" resumes it"))]
    elif not one.is_running and one.behind_events:
        lines += [line(), line(span("Nobody works on it: start pg_events worker.", "warning"))]
    return lines


def _activity_detail(one: Activity) -> list[Line]:
    lines = [
        _fact("who", " · ".join(part for part in (one.user_name, one.application_name) if part) or "not shown"),
        _fact("open for", format_seconds(one.seconds)),
        _fact("state", one.state or "not shown to this role"),
    ]
    if one.waits_for:
        blockers = ", ".join(map(str, one.blocked_by)) or "not known"
        lines.append(_fact("waits for", one.waits_for, "bad", f"held by pid {blockers}"))
    return [
        *lines, line(), *text_lines(one.query or "statement not shown to this role"), line(),
        line(span("Its own events come when it commits; it keeps vacuum from cleaning up behind it.", "note")),
    ]  # fmt: skip
