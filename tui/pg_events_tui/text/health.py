"""Top rows, the same on every screen. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pg_events.text import clean
from pg_events.text.formatting import format_bytes, format_seconds
from pg_events_tui.model.feed import Link
from pg_events_tui.text.lines import Line, Span, crop, justify, line, span, sparkline, width

TABS: Final = (
    ("live", "Live"),
    ("coverage", "Coverage"),
    ("schema", "Schema"),
    ("replay", "Replay"),
    ("health", "Health"),
)

SHORT: Final = {"Coverage": "Cov"}


@dataclass(frozen=True)
class Health:
    """State shown in the top rows, at one moment."""

    database: str
    link: Link
    now: datetime
    """Local time."""
    paused: bool
    read_only: bool
    rate: float
    """Events per second."""
    rates: Sequence[int]
    kept: int
    """Number of events in the store."""
    kept_bytes: int
    problems: int | None
    """Number of tables without the desired coverage; None if unknown."""
    running: bool = False
    """True while a replay is running."""
    label: str = ""
    """Label of the database in its profile."""
    colour: str = ""
    """Colour of the database in its profile."""
    recorded_bytes: int | None = None
    """Size of the file that is being recorded; None if there is none."""
    failed: int = 0
    """Number of known events whose callback gave up."""


def count_words(count: int) -> str:
    """Format a count in a short form: `184k`."""
    return f"{count:,}" if count < 10_000 else f"{count / 1000:.0f}k" if count < 1_000_000 else f"{count / 1e6:.1f}M"


def state_words(health: Health) -> tuple[str, str]:
    """Return the link's state in a word, and its role. Only a responding database is LIVE."""
    link, now = health.link, health.now.timestamp()
    since = max(0, int(now - link.since))
    match link.state:
        case "live":
            return ("◐ PAUSED", "warning") if health.paused else ("● LIVE", "good")
        case "down":
            return f"○ DOWN {since // 60:02d}:{since % 60:02d}", "bad"
        case "silent":
            return "○ SILENT", "bad"
        case "connecting":
            return "◌ CONNECTING", "warning"
        case "stopped":
            return "○ STOPPED", "bad"
        case "reading":
            return f"◌ READING {link.received:,}", "warning"
        case "saved":
            return "■ SAVED LOG", "accent"


def lag_words(health: Health) -> tuple[str, str]:
    link = health.link
    if link.state != "live" or link.lag_seconds is None:
        return "lag ?" if link.state != "live" else "lag –", "note"
    return f"lag {format_seconds(link.lag_seconds)}", "warning" if link.lag_seconds > 2 else ""


def behind_words(health: Health) -> tuple[str, str]:
    link = health.link
    if link.state in ("reading", "saved"):
        return "", "note"
    if link.state != "live":
        return "behind ?", "note"
    if link.behind and link.lag_seconds is not None:
        return f"behind {format_seconds(link.lag_seconds)}", "warning"
    return "behind 0", "note"


def health_line(health: Health, cells: int) -> Line:
    """Format the first row."""
    wide = cells >= 100
    spark = span(sparkline(health.rates[-8:] if wide else health.rates[-6:]).strip(), "accent")
    state, lag, behind = span(*state_words(health)), span(*lag_words(health)), span(*behind_words(health))
    rate = f"{health.rate:,.0f}" if health.link.state == "live" else "--"
    gap = span("  ")
    left = (
        [span(" pg_events  ", "key"), span(health.database, "strong")]
        if wide
        else [span(f" {health.database}", "strong")]
    )
    if health.label:
        left += [span(" "), Span(f"[{clean(health.label)}]", f"on:{health.colour}" if health.colour else "strong")]
    if health.read_only:
        left.append(span(" [read-only]" if wide else " [ro]", "note"))
    left += [gap, state]
    if health.link.state not in ("reading", "saved"):
        left += [gap, lag, gap, span(f"{rate} {'ev/s' if wide else '/s'} "), spark]
    kept = f"{health.kept:,} ev {format_bytes(health.kept_bytes)}" if wide else count_words(health.kept)
    right = [gap, span(kept, "note")]
    if behind.text:
        right += [gap, behind]
    if health.recorded_bytes is not None:
        right += [gap, span(f"● REC {format_bytes(health.recorded_bytes)}" if wide else "●R", "bad")]
    return justify(tuple(left), line(*right, " "), cells)


def tab_line(health: Health, current: str, cells: int) -> tuple[Line, list[tuple[int, int, str]]]:
    """Format the second row, and return the positions of its tabs: start, end, mode."""
    parts: list[Span] = []
    places: list[tuple[int, int, str]] = []
    for number, (mode, name) in enumerate(TABS, 1):
        badge = ""
        if mode == "coverage" and health.problems:
            badge = f" ▲{health.problems}"
        if mode == "replay" and health.running:
            badge = " …"
        if mode == "health" and health.failed:
            badge = f" ▲{health.failed}"
        is_current = mode == current
        shown = name if cells >= 84 else SHORT.get(name, name) if cells >= 70 else name[:3]
        text = f"{number} {shown}{badge}" if cells >= 56 or is_current else f"{number}{badge}"
        start = width(parts)
        parts.append(
            span(f"[{text}]" if is_current else f" {text} ", "tab" if is_current else "warning" if badge else "note")
        )
        places.append((start, width(parts), mode))
        parts.append(span("  " if cells >= 100 else " "))
    return justify((span(" "), *parts), line(span(f"{health.now:%H:%M:%S} ", "note")), cells), [
        (start + 1, end + 1, mode) for start, end, mode in places
    ]


def banner_lines(health: Health, cells: int) -> list[Line]:
    """Describe the problem of the link and the next action; empty if there is none."""
    link = health.link
    if link.state == "silent":
        return [
            line(
                span(
                    f" ! {health.database}: {link.reason}; what is shown may be old",
                    "bad",
                )
            )
        ]
    if link.state != "down":
        return []
    lost = datetime.fromtimestamp(link.since, health.now.tzinfo)
    wait = link.retry_at - health.now.timestamp()
    due = f"try {link.attempt + 1} in {wait:.1f} s" if wait > 0 else f"try {link.attempt + 1} now"
    first = line(span(f" ! {link.trouble} {lost:%H:%M:%S}: {link.reason}", "bad"))
    after = "; afterwards it goes on where it stopped" if cells >= 100 else ""
    second = line(span(f"   {due} · R now · history stays usable{after}", "note"))
    return [crop(first, cells), crop(second, cells)]
