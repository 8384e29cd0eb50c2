"""A replay as lines: its rows on top, a row of its queue, the faces of one event, the plan. Pure."""

import re
from collections.abc import Sequence
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Final

from pg_events import difference
from pg_events.event import record, replayed
from pg_events.runs import Outcome, Run
from pg_events.source import LOG
from pg_events.steering import Pace
from pg_events.text import counted, one_line
from pg_events_tui.lines import HANG, Line, Span, fit, fit_right, line, seconds_words, span, text_lines
from pg_events_tui.replay import Replay, Stage
from pg_events_tui.summary import clock, key_of

FACES: Final = ("Result", "Output", "Payload", "Edit", "Compare")
SPEEDS: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0, None)
"""As `+` and `-` go through them; None is as fast as the callbacks are."""
NOT_UNDONE: Final = "What a callback does outside cannot be undone."
READ_BYTES: Final = 64_000
"""Payloads larger than this are not read for a row of the list."""
SHOWN_BYTES: Final = 2_000_000
WITH_NUMBER: Final = 76
"""Cells from which a queue has a column for the place of an event."""

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


# ---- on top


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
        for name, kind in ((data, "rows"), (schema, "DDL")):
            left += [span(name or "none", "strong" if name else "note"), span(f" for {kind}   ", "note")]
    anew = "its code is loaded anew at each start   " if cells >= 100 else ""
    return line(*left), line(span(f"{anew}t target ", "note"))


def speed_words(pace: Pace) -> str:
    if pace.speed is None:
        return "max"
    return f"{pace.speed:g}x, gaps up to {pace.max_gap_seconds:g} s"


def stage_words(replay: Replay) -> tuple[str, str]:
    """How it is with the whole, in a word or three, and their role."""
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
        parts.append(span(f"  next in {seconds_words(due)}", "note"))
    elif (seconds := replay.running_seconds) is not None and seconds >= 1:
        parts.append(span(f"  running for {seconds_words(seconds)}", "warning"))
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
    names = [fit("seq", 8), fit("time", 12), "op", fit("table", table), fit("key", key), fit("result", result)]
    if cells >= WITH_NUMBER:
        names.insert(0, fit_right("#", 6))
    return line(span(" ".join([*names, fit_right("ms", 7)]), "heading"))


def _widths(cells: int) -> tuple[int, int, int]:
    """Cells of table, key and result: what is left beside number, seq, time, op, ms and the scrollbar."""
    room = max(24, cells - (44 if cells >= WITH_NUMBER else 37))
    key = min(10, max(5, room // 6))
    table = min(30, max(8, room * 3 // 10))
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
        span(fit(f"{item.id}", 8) + " ", "note"),
        span(f"{clock(item.at.timestamp(), zone)} "),
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
    """The value that tells the row from others."""
    try:
        found = record(payload) if payload else None
        if found is None or found.kind in "ST":
            return ""
        row = difference.row_of(found.new_data) or difference.row_of(found.old_data) or {}
    except (ValueError, RecursionError):
        return ""
    key = key_of(found.table_name or "", row)
    return difference.spelled(key[1]) if key else ""


def result_words(replay: Replay, row: int) -> tuple[str, str]:
    """What became of an event, in words, and their role."""
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
    """`on_order` of `shop.handlers.on_order`."""
    return callback.replace(":", ".").rpartition(".")[2]


def error_name(outcome: Outcome) -> str:
    """`KeyError`, `Killed`."""
    return (outcome.error or "").partition(":")[0].rpartition(".")[2]


# ---- one event


def face_title(replay: Replay, row: int) -> str:
    item = replay.queue.item(row)
    words, _ = result_words(replay, row)
    outcome = replay.outcome(row)
    time = f" {outcome.milliseconds:,.1f} ms" if outcome else ""
    return f"#{item.id} {item.what}: {words or 'queued'}{time}"


def faces_line(current: int) -> Line:
    return tuple(
        span(f"[{name}]" if number == current else f" {name} ", "tab" if number == current else "note")
        for number, name in enumerate(FACES)
    )


def face_lines(replay: Replay, row: int, face: str) -> list[Line]:
    """What one face tells of an event of the queue."""
    outcome = replay.outcome(row)
    running = replay.current
    if face == "Payload":
        return payload_lines(replay, row, outcome)
    if face == "Edit":
        return edit_lines(replay, row)
    if face == "Compare":
        return compare_lines(replay, row, outcome)
    if running is not None and running[0] == row:
        seconds = seconds_words(replay.running_seconds or 0.0)
        return [
            line(span(f"running for {seconds} …", "warning")),
            line(span("x stops after it, x again kills it", "note")),
            line(),
            *output_lines(replay.output),
        ]
    if outcome is None:
        return untried_lines(replay, row)
    if face == "Output":
        return output_lines(outcome.output)
    return [*outcome_lines(outcome), line(), *output_lines(outcome.output)]


def untried_lines(replay: Replay, row: int) -> list[Line]:
    item = replay.queue.item(row)
    name = replay.into(is_schema=item.is_schema)
    if replay.state(row) == "skipped":
        return [line(span("skipped: no callback got it", "note"))]
    if not name:
        return [line(span("no callback gets events of this kind", "note"))]
    lines = [line(span("would go to ", "label"), span(name, "strong")), line()]
    if (planned := replay.planned) is not None and item.id in planned.failed:
        lines += [line(span("failed in a worker: ", "bad"), HANG, span(one_line(planned.failed[item.id])))]
    return lines


def outcome_lines(outcome: Outcome) -> list[Line]:
    """What it returned, or how it failed: the error first, then the way there."""
    if outcome.ok:
        return [line(span("returned ", "label"), HANG, span(outcome.returned or "None"))]
    error = outcome.error or "failed"
    way = (outcome.traceback or "").rstrip().removesuffix(error)  # which stands on top already
    return [*text_lines(error, "bad"), line(), *traceback_lines(way)]


_FRAME: Final = re.compile(r'  File "(?P<file>.*)", line (?P<number>\d+), in (?P<name>.*)')
_VARIABLE: Final = re.compile(r"    (?P<name>[A-Za-z_]\w*) = ")


def traceback_lines(text: str) -> list[Line]:
    """As Python prints it, with the places, the code and the variables told apart."""
    lines: list[Line] = []
    after_place = is_frame = False
    for one in text.rstrip().split("\n"):
        if one == "Traceback (most recent call last):" and not lines:
            continue
        if (frame := _FRAME.fullmatch(one)) is not None:
            file = "/".join(frame["file"].split("/")[-2:])
            lines.append(line(span(f"{file}:{frame['number']}", "key"), span(f" in {frame['name']}", "strong")))
            after_place = is_frame = True
            continue
        if after_place and one.startswith("    "):
            lines.append(line(span("❱ ", "bad"), HANG, span(one[4:], "strong")))
        elif is_frame and one.startswith("    ") and not one.strip(" ~^"):
            lines.append(line(span(f"  {one[4:]}", "bad")))
        elif is_frame and (name := _VARIABLE.match(one)) is not None:
            value = one[name.end() :]
            lines.append(line(span(f"  {name['name']}", "label"), span(" = ", "note"), HANG, span(value, "note")))
        else:
            is_frame = False
            lines += text_lines(one, "" if one.startswith(" ") else "bad")
        after_place = False
    return lines


def output_lines(text: str | None) -> list[Line]:
    printed = (text or "").rstrip("\n")
    head = line(span("printed", "heading"), span("" if printed else "  (nothing)", "note"))
    return [head, *text_lines(printed)] if printed else [head]


def payload_lines(replay: Replay, row: int, outcome: Outcome | None) -> list[Line]:
    """What the callback gets, or got the last time."""
    if replay.queue.payload_bytes(row) > SHOWN_BYTES:
        return [line(span("too large to be shown here", "note"))]
    payload = replay.edited.get(row) or replay.queue.payload(row)
    if not payload:
        return [line(span("the event is not there any more: only its result was kept", "note"))]
    run = replay.kept.run if replay.kept else ""
    attempt = outcome.attempt if outcome else 1
    told = replayed(payload, run, attempt, is_edited=row in replay.edited) if run else payload
    try:
        return text_lines(difference.pretty(difference.row_of(told)))
    except (ValueError, RecursionError):
        return text_lines(told)


def edit_lines(replay: Replay, row: int) -> list[Line]:
    """What was changed in the copy."""
    edited = replay.edited.get(row)
    if edited is None:
        return [line(span("delivered as it was captured; e edits a copy in $EDITOR", "note"))]
    lines = [line(span("the copy that is delivered; the original stays as it is", "note")), line()]
    try:
        old, new = difference.row_of(replay.queue.payload(row)), difference.row_of(edited)
    except (ValueError, RecursionError):
        return [*lines, *text_lines(edited)]
    roles = {"+": "added", "-": "removed", "~": "changed"}
    for change in difference.difference(old, new):
        role = roles.get(change.sign, "")
        if role:
            lines.append(
                line(span(f"{change.sign} {change.name}  ", role), HANG, span(difference.spelled(change.old), "removed"),
                     span("  →  ", "note"), span(difference.spelled(change.new), "added"))
            )  # fmt: skip
    return lines


def compare_lines(replay: Replay, row: int, outcome: Outcome | None) -> list[Line]:
    """Every attempt of this run, and the event in the other one."""
    lines: list[Line] = []
    for one in replay.attempts.get(row, [])[-20:]:
        lines.append(_told(f"attempt {one.attempt}", one))
    if not lines:
        lines.append(line(span("not tried in this run yet", "note")))
    if replay.other is None:
        return [*lines, line(), line(span("c compares with another run that was kept", "note"))]
    then = replay.then(row)
    lines += [line(), line(span(f"in run {replay.other.run}", "heading"))]
    lines.append(_told("then", then) if then else line(span("this event was not in that run", "note")))
    if outcome is not None:
        change = replay.change(row)
        words = change or "good both times"
        lines += [line(), line(span(words, CHANGE_ROLES.get(change, "good")))]
        if then is not None and then.returned != outcome.returned and then.ok and outcome.ok:
            lines.append(line(span("returned something else", "warning")))
    return lines


def _told(name: str, one: Outcome) -> Line:
    words = span("ok", "good") if one.ok else span(one_line(one.error or "failed"), "bad")
    returned = f"  returned {one.returned}" if one.ok and one.returned else ""
    edited = "  (edited)" if one.edited else ""
    return line(
        span(f"{name:<10} ", "label"),
        HANG,
        words,
        span(f"  {one.milliseconds:,.1f} ms{edited}", "note"),
        span(returned),
    )


# ---- the plan


def plan_lines(replay: Replay) -> list[Line]:
    """What would go where, what has changed since, what failed before, what is not undone."""
    planned = replay.planned
    if replay.problem:
        return text_lines(replay.problem, "bad")
    if planned is None:
        return [line(span(f"{counted(len(replay.queue), 'event')} so far …", "note"))]
    lines: list[Line] = []
    counts = sorted(planned.counts.items(), key=lambda one: -one[1])
    wide = max((len(what) for (what, _), _ in counts), default=0)
    for (what, is_schema), events in counts[:40]:
        name = replay.into(is_schema=is_schema)
        into = span(name, "strong") if name else span("nothing: no callback is named", "note")
        lines.append(
            line(span(f"{events:>7,}  "), span(fit(span(what).text, min(wide, 40))), span("  → ", "note"), HANG, into)
        )
    if len(counts) > 40:
        lines.append(line(span(f"{len(counts) - 40:,} kinds more", "note")))
    if replay.no_callback:
        lines += [line(), *text_lines(replay.no_callback, "bad")]
    if replay.queue.left_out:
        words = f"{replay.queue.left_out:,} more are left out here; pg_events replay takes them all"
        lines += [line(), line(span(words, "warning"))]
    if planned.bad_lines:
        lines += [line(), line(span(f"{counted(planned.bad_lines, 'line')} of the file cannot be read", "warning"))]
    if planned.drift:
        lines += [line(), line(span("tables have changed since", "heading"))]
        lines += [line(span("~ ", "changed"), HANG, span(one)) for one in planned.drift]
    if planned.failed:
        lines += [line(), line(span(f"{counted(len(planned.failed), 'event')} of these failed in a worker", "heading"))]
        for id, words in sorted(planned.failed.items())[:20]:  # noqa: A001
            lines.append(line(span(f"#{id}  ", "bad"), HANG, span(one_line(words))))
    lines += [
        line(),
        line(span(NOT_UNDONE, "warning")),
        line(span("Mail, HTTP, other databases: it is done again.", "warning")),
    ]
    lines += [
        line(span("The events are never altered: a callback gets", "note")),
        line(span('a copy that says "replay".', "note")),
    ]
    return lines


# ---- runs that were kept


def run_columns(run: Run, zone: tzinfo | None) -> Sequence[Span]:
    """When, how many events, how many failed, how it ended, what, into what."""
    total = run.sum()
    at = datetime.fromisoformat(run.started_at).astimezone(zone)
    source = run.asked.source.rpartition("/")[2]
    if run.asked.source == LOG:
        source = f"log of {run.asked.database}" if run.asked.database else LOG
    into = ", ".join(dict.fromkeys(run.asked.callbacks.values()))
    failed = span(f"{total.failed:,} failed" if total.failed else "", "bad")
    return (
        span(f"{at:%m-%d %H:%M:%S}"),
        span(f"{total.events:>7,}"),
        failed,
        span(total.state, "" if total.state == "complete" else "warning"),
        span(source, "note"),
        span(into),
    )
