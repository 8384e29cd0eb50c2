"""Faces of a replayed event as lines; the plan; the stored runs. Pure."""

import re
from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Final

from pg_events.diff import changes
from pg_events.event import replayed
from pg_events.playback.runs import Outcome, Run
from pg_events.playback.source import LOG
from pg_events.text import counted, one_line
from pg_events.text.formatting import format_seconds
from pg_events_tui.replay.lines import CHANGE_ROLES, NOT_UNDONE, result_words, short_name
from pg_events_tui.replay.session import Replay
from pg_events_tui.text.difference_lines import changed_lines
from pg_events_tui.text.lines import HANG, Line, Span, fit, line, span, text_lines

FACES: Final = ("Result", "Output", "Payload", "Edit", "Compare")
SHOWN_BYTES: Final = 2_000_000
EDIT_CELLS: Final = 48
"""Width of the pane in a terminal of 120 columns."""


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
    """Format a face of an event in the queue."""
    outcome = replay.outcome(row)
    running = replay.current
    if face == "Payload":
        return payload_lines(replay, row, outcome)
    if face == "Edit":
        return edit_lines(replay, row)
    if face == "Compare":
        return compare_lines(replay, row, outcome)
    if running is not None and running[0] == row:
        seconds = format_seconds(replay.running_seconds or 0.0)
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
    """Format the return value, or the failure: the error first, then its traceback."""
    if outcome.ok:
        return [line(span("returned ", "label"), HANG, span(outcome.returned or "None"))]
    error = outcome.error or "failed"
    way = (outcome.traceback or "").rstrip().removesuffix(error)  # which is already at the top
    return [*text_lines(error, "bad"), line(), *traceback_lines(way)]


_FRAME: Final = re.compile(r'  File "(?P<file>.*)", line (?P<number>\d+), in (?P<name>.*)')
_VARIABLE: Final = re.compile(r"    (?P<name>[A-Za-z_]\w*) = ")


def traceback_lines(text: str) -> list[Line]:
    """Format a traceback as Python does, with different roles for places, code and variables."""
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


def place(outcome: Outcome) -> str:
    """Return the innermost of the user's frames: `shop/handlers.py:41`."""
    frames = [found for one in (outcome.traceback or "").split("\n") if (found := _FRAME.fullmatch(one))]
    return "/".join(frames[-1]["file"].split("/")[-2:]) + f":{frames[-1]['number']}" if frames else ""


def output_lines(text: str | None) -> list[Line]:
    printed = (text or "").rstrip("\n")
    head = line(span("printed", "heading"), span("" if printed else "  (nothing)", "note"))
    return [head, *text_lines(printed)] if printed else [head]


def payload_lines(replay: Replay, row: int, outcome: Outcome | None) -> list[Line]:
    """Format the payload that the callback gets, or got in the last attempt."""
    if replay.queue.payload_bytes(row) > SHOWN_BYTES:
        return [line(span("too large to be shown here", "note"))]
    payload = replay.edited.get(row) or replay.queue.payload(row)
    if not payload:
        return [line(span("the event is not there any more: only its result was kept", "note"))]
    run = replay.kept.run if replay.kept else ""
    attempt = outcome.attempt if outcome else 1
    told = replayed(payload, run, attempt, is_edited=row in replay.edited) if run else payload
    try:
        return text_lines(changes.pretty(changes.row_of(told)))
    except (ValueError, RecursionError):
        return text_lines(told)


def edit_lines(replay: Replay, row: int) -> list[Line]:
    """Format the changes in the edited copy."""
    edited = replay.edited.get(row)
    if edited is None:
        return [line(span("delivered as it was captured; e edits a copy in $EDITOR", "note"))]
    lines = [line(span("the copy that is delivered; the original stays as it is", "note")), line()]
    try:
        old, new = changes.row_of(replay.queue.payload(row)), changes.row_of(edited)
    except (ValueError, RecursionError):
        return [*lines, *text_lines(edited)]
    changed = [change for change in changes.difference(old, new) if change.sign != " "]
    return [*lines, *changed_lines(changed, EDIT_CELLS, both=True)]


def compare_lines(replay: Replay, row: int, outcome: Outcome | None) -> list[Line]:
    """Format every attempt of this run, and the event in the other one."""
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
    """Describe the plan: destinations, changes since then, earlier failures, and irreversible effects."""
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
        into = span(short_name(name), "strong") if name else span("nothing: no callback is named", "note")
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


# ---- stored runs


RUN_HEADING: Final = tuple(
    span(name, "heading") for name in ("when", "events", "failed", "state", "source", "into", "run")
)


def run_columns(run: Run, zone: tzinfo | None) -> Sequence[Span]:
    """Format a row of the list of runs, below `RUN_HEADING`."""
    total = run.sum()
    at = datetime.fromisoformat(run.started_at).astimezone(zone)
    source = run.asked.source.rpartition("/")[2]
    if run.asked.source == LOG:
        source = f"log of {run.asked.database.partition('@')[0]}" if run.asked.database else LOG
    into = ", ".join(dict.fromkeys(map(short_name, run.asked.callbacks.values())))
    return (
        span(f"{at:%m-%d %H:%M:%S}"),
        span(f"{total.events:,}"),
        span(f"{total.failed:,}", "bad" if total.failed else "note"),
        span(total.state, "" if total.state == "complete" else "warning"),
        span(source, "note"),
        span(into),
        span(run.run, "note"),
    )
