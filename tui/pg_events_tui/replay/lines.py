"""Replay as lines: the top rows, and a row of its queue. Pure."""

from datetime import tzinfo
from functools import lru_cache
from typing import Final

from pg_events.diff import changes
from pg_events.event import record
from pg_events.playback.control import Pace
from pg_events.playback.runs import Outcome
from pg_events.text import counted
from pg_events.text.formatting import format_seconds
from pg_events_tui.model import row_keys
from pg_events_tui.model.summary import clock
from pg_events_tui.replay.session import Replay, Stage
from pg_events_tui.text.lines import Line, fit, fit_right, line, span

SPEEDS: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0, None)
"""Speeds for `+` and `-`; None is as fast as the callbacks are."""
NOT_UNDONE: Final = "What a callback does outside cannot be undone."
READ_BYTES: Final = 64_000
"""Size from which payloads are not read for a row of the list."""
WITH_NUMBER: Final = 76
"""Width from which a queue has a column for an event's position, and shows the time with milliseconds."""
WITH_SEQ: Final = 62
"""Width from which a queue has a column for the event's number."""

STAGES: Final[dict[Stage, tuple[str, str]]] = {
    "loading": ("LOADING", "warning"),
    "plan": ("PLAN", "accent"),
    "kept": ("KEPT RUN", "accent"),
    "ready": ("READY", "good"),
    "starting": ("STARTING", "warning"),
    "playing": ("PLAYING", "good"),
    "paused": ("PAUSED", "warning"),
    "stopping": ("STOPPING", "warning"),
    "stopped": ("STOPPED", "warning"),
    "failed": ("STOPPED on error", "bad"),
    "done": ("DONE", "good"),
}
STATE_ROLES: Final = {"running": "warning", "ok": "good", "failed": "bad", "skipped": "note", "no callback": "note"}
CHANGE_ROLES: Final = {"works now": "good", "fails now": "bad", "fails still": "bad", "fails differently": "bad"}
LETTERS: Final = {"INSERT": "I", "UPDATE": "U", "DELETE": "D", "TRUNCATE": "T"}


# ---- top rows


def source_line(replay: Replay | None) -> tuple[Line, Line]:
    if replay is None:
        return line(span(" source  ", "label"), span("nothing yet", "note")), line(span("S source ", "note"))
    where = replay.origin.where
    words = line(
        span(" source  ", "label"), span(replay.origin.words, "strong"), span(f"   / {where}" if where else "", "note")
    )
    more = f" of {len(replay.queue) + replay.queue.left_out:,}" if replay.queue.left_out else ""
    return words, line(span(f"{counted(len(replay.queue), 'event')}{more}   S source  / filter ", "note"))


def target_line(replay: Replay | None, cells: int) -> tuple[Line, Line]:
    if replay is None:
        return (), ()
    left = [span(" target  ", "label")]
    data, schema = replay.into(is_schema=False), replay.into(is_schema=True)
    if replay.no_callback:
        left.append(span("no callback: t names one", "bad"))
    elif data == schema:
        left.append(span(data, "strong"))
    else:
        if len(data) + len(schema) > cells - (70 if cells >= 100 else 40):
            data, schema = short_name(data), short_name(schema)
        for name, kind in ((data, "rows"), (schema, "DDL")):
            left += [span(name or "none", "strong" if name else "note"), span(f" for {kind}   ", "note")]
    anew = "its code is loaded anew at each start   " if cells >= 100 else ""
    return line(*left), line(span(f"{anew}t target ", "note"))


def speed_words(pace: Pace) -> str:
    if pace.speed is None:
        return "max"
    return f"{pace.speed:g}x, gaps up to {pace.max_gap_seconds:g} s"


def stage_words(replay: Replay) -> tuple[str, str]:
    """Describe the overall state in up to three words, with their role."""
    stage = replay.stage
    failed = replay.counts().get("failed", 0)
    return (f"DONE, {failed:,} failed", "bad") if stage == "done" and failed else STAGES[stage]


def progress_line(replay: Replay | None, pace: Pace, cells: int) -> tuple[Line, Line]:
    errors = "stop" if pace.stop_on_error else "go on"
    if cells >= 100:
        right = f"speed {speed_words(pace)}   at errors: {errors}   + - a "
    else:
        right = f"{'max' if pace.speed is None else f'{pace.speed:g}x'} · errors: {errors} "
    if replay is None:
        return (), line(span(right, "note"))
    word, role = stage_words(replay)
    total, done = len(replay.queue), replay.next_row
    bar = 24 if cells >= 100 else 12
    filled = 0 if not total else min(bar, round(done / total * bar))
    parts = [span(f" {word}  ", role), span("█" * filled, "good"), span("░" * (bar - filled), "note")]
    parts.append(span(f"  {done:,}/{total:,}"))
    due = replay.due_seconds
    if due is not None and due > 0.05:
        parts.append(span(f"  next in {format_seconds(due)}", "note"))
    elif (seconds := replay.running_seconds) is not None and seconds >= 1:
        parts.append(span(f"  running for {format_seconds(seconds)}", "warning"))
    return line(*parts), line(span(right, "note"))


# ---- the queue


def queue_title(replay: Replay | None) -> str:
    if replay is None:
        return "Queue"
    counts = replay.counts()
    words = [f"{count:,} {name}" for name, count in counts.items()]
    left = len(replay.queue) - replay.next_row
    if words and left:
        words.append(f"{left:,} to go")
    return f"Queue: {' · '.join(words)}" if words else "Queue"


def queue_heading(cells: int) -> Line:
    table, key, result = _widths(cells)
    time = 12 if cells >= WITH_NUMBER else 8
    names = [fit("time", time), "op", fit("table", table), fit("key", key), fit("result", result)]
    if cells >= WITH_SEQ:
        names.insert(0, fit("seq", 8))
    if cells >= WITH_NUMBER:
        names.insert(0, fit_right("#", 6))
    return line(span(" ".join([*names, fit_right("ms", 7)]), "heading"))


def _widths(cells: int) -> tuple[int, int, int]:
    """Return the widths of table, key and result, which share the space beside number, seq, time, op, ms and the scrollbar."""
    room = max(24, cells - (44 if cells >= WITH_NUMBER else 33 if cells >= WITH_SEQ else 24))
    key = min(10, max(5, room // 6))
    table = min(30, max(8, room * 2 // 5))
    return table, key, max(8, room - table - key)


def queue_row(replay: Replay, row: int, cells: int, zone: tzinfo | None) -> Line:
    item = replay.queue.item(row)
    table, key, result = _widths(cells)
    outcome = replay.outcome(row)
    letter = "!" if item.is_schema else LETTERS.get(item.what.partition(" ")[0], "?")
    words, role = result_words(replay, row)
    is_next = row == replay.next_row and replay.is_real and not replay.is_playing
    parts = [
        *([span(f"{row + 1:>6} ", "note")] if cells >= WITH_NUMBER else []),
        *([span(fit(f"{item.id}", 8) + " ", "note")] if cells >= WITH_SEQ else []),
        span(f"{clock(item.at.timestamp(), zone)[: None if cells >= WITH_NUMBER else 8]} "),
        span(f"{letter:<2} ", {"I": "added", "U": "changed", "D": "removed", "!": "schema"}.get(letter, "")),
    ]
    if item.table is None:
        parts.append(span(fit(span(item.what).text, table + 1 + key) + " ", "schema"))
    else:
        parts.append(span(fit(span(item.table.removeprefix("public.")).text, table) + " "))
        parts.append(span(fit(span(key_words(replay.queue.beginning(row, READ_BYTES))).text, key) + " ", "note"))
    parts.append(span(fit(span(words or ("next" if is_next else "")).text, result) + " ", role))
    parts.append(span(fit_right(f"{outcome.milliseconds:,.1f}" if outcome else "", 7), "note"))
    return tuple(parts)


@lru_cache(maxsize=512)
def key_words(payload: str) -> str:
    """Format the key value of the row."""
    try:
        found = record(payload) if payload else None
        if found is None or found.kind in "STE":
            return ""
        row = changes.row_of(found.new_data) or changes.row_of(found.old_data) or {}
    except (ValueError, RecursionError):
        return ""
    key = row_keys.of_row(found.table_schema, found.table_name, row)
    return key.short if key else ""


def result_words(replay: Replay, row: int) -> tuple[str, str]:
    """Describe the result of an event, with its role."""
    state = replay.state(row)
    outcome = replay.outcome(row)
    words = state
    if state == "failed" and outcome is not None:
        words = f"ERR {error_name(outcome)}"
    elif state == "queued":
        words = (
            f"→ {short_name(replay.into(is_schema=replay.queue.item(row).is_schema))}" if replay.stage == "plan" else ""
        )
    if outcome is not None and outcome.attempt > 1:
        words += f" ×{outcome.attempt}"
    if row in replay.edited or (outcome is not None and outcome.edited):
        words += " (edited)"
    change = replay.change(row)
    role = STATE_ROLES.get(state, "note")
    if change:
        error = f": {error_name(outcome)}" if outcome is not None and not outcome.ok else ""
        words, role = f"{change}{error}", CHANGE_ROLES.get(change, role)
    return words.strip(), role


def short_name(callback: str) -> str:
    """Return the function's name: `on_order` of `shop.handlers.on_order`."""
    return callback.replace(":", ".").rpartition(".")[2]


def error_name(outcome: Outcome) -> str:
    """Return the name of the error: `KeyError`, `Killed`."""
    return (outcome.error or "").partition(":")[0].rpartition(".")[2]
