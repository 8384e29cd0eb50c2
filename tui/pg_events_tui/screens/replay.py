"""Replay: each event that was run through a callback again, and what became of it."""

from time import perf_counter
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from pg_events.event import replayed
from pg_events_tui import describe, keys
from pg_events_tui.lines import Line, crop, fit, fit_right, line, size_words, span, text_lines
from pg_events_tui.replay import Attempt, NoTarget
from pg_events_tui.screens.base import ConsoleScreen
from pg_events_tui.store import table_title
from pg_events_tui.widgets.header import Health
from pg_events_tui.widgets.line_list import ItemList, LineList
from pg_events_tui.widgets.rows import FilterRow, Row
from pg_events_tui.widgets.text_pane import TextPane

FACES: Final = ("Result", "Output", "Payload")
OUTCOME_ROLES: Final = {"running": "warning", "ok": "good"}


class ReplayScreen(ConsoleScreen):
    """The attempts of this session, the newest on top."""

    MODE: ClassVar[str] = "replay"
    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("replay")]

    def __init__(self) -> None:
        super().__init__()
        self._face = 0
        self._drawn: object = None
        self._count = 0
        self._selected_drawn: object = None

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="body"):
            yield ItemList(id="attempts")
            yield TextPane(id="detail")
        yield Row(id="preview")

    def on_mount(self) -> None:
        found = self.query_one("#attempts", ItemList)
        found.empty = ("nothing was replayed yet", "select an event in Live (1) and press r")
        found.add_class("pane")
        self.query_one("#detail").add_class("pane")
        found.focus()

    # ---- drawing

    def tick(self, health: Health) -> None:
        attempts = self.app.attempts
        found = self.query_one("#attempts", ItemList)
        drawn = ([(one.run, one.number, one.outcome) for one in attempts], found.size.width)
        running = [one for one in attempts if one.outcome == "running"]
        if drawn != self._drawn or running:
            grew = len(attempts) != self._count
            self._drawn, self._count = drawn, len(attempts)
            cells = found.size.width - 1
            found.show(
                heading(cells), [((one.run, one.number), attempt_line(one, cells)) for one in reversed(attempts)]
            )
            if grew and attempts:
                found.select_key((attempts[-1].run, attempts[-1].number))
            counts = {name: sum(one.outcome == name for one in attempts) for name in ("ok", "failed", "running")}
            other = len(attempts) - sum(counts.values())
            words = [f"{count} {name}" for name, count in (*counts.items(), ("stopped", other)) if count]
            self.titled(found, "Replays" + (": " + " · ".join(words) if words else ""))
        self._show_selected()
        try:
            text = self.app.target("I").name
            target = line(span(" callback ", "label"), span(text, "strong"))
        except NoTarget as reason:
            target = line(span(f" {reason}", "note"))
        self.query_one(FilterRow).words(target, line(span("each call in a process of its own ", "note")))
        super().tick(health)

    @property
    def selected(self) -> Attempt | None:
        key = self.query_one("#attempts", ItemList).selected_key
        return next((one for one in self.app.attempts if (one.run, one.number) == key), None)

    def _show_selected(self) -> None:
        pane = self.query_one("#detail", TextPane)
        preview = self.query_one("#preview", Row)
        one = self.selected
        if one is None:
            self.titled(pane, "No replay", "")
            pane.show([])
            preview.show(())
            return
        state = (
            one.run,
            one.number,
            one.outcome,
            len(one.output),
            len(one.errors),
            self._face,
            pane.size.width,
            self.is_wide,
        )
        if state == self._selected_drawn and one.outcome != "running":
            return
        self._selected_drawn = state
        self.titled(
            pane,
            f"{describe.title(one.record)}, attempt {one.number}",
            "x kill" if one.outcome == "running" else "r again · y copy",
        )
        faces = tuple(
            span(f"[{name}]" if number == self._face else f" {name} ", "tab" if number == self._face else "note")
            for number, name in enumerate(FACES)
        )
        pane.show(face_lines(one, FACES[self._face]), fixed=[*head_lines(one), line(), crop(faces, max(1, pane.size.width))],
                  keep_place=True)  # fmt: skip
        preview.show(
            line(span(f" {one.words}", outcome_role(one)), span(f"  {one.message or one.returned}")),
            line(span(" ⏎ detail ", "note")),
        )

    def state_words(self) -> tuple[Line, Line]:
        return (
            line(
                span(" What a callback does outside cannot be undone. The events themselves are never altered.", "note")
            ),
            (),
        )

    # ---- keys

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        event.stop()
        self._show_selected()

    def on_line_list_opened(self, event: LineList.Opened) -> None:
        event.stop()
        self.action_open()

    def why_not(self, action: str) -> str:
        one = self.selected
        if action in ("open", "copy", "face", "replay") and one is None:
            return "nothing was replayed yet"
        if action == "replay" and self.app.read_only:
            return "replay is off: the console was started with --read-only"
        if action == "kill" and (one is None or one.outcome != "running"):
            return "no callback is running"
        return ""

    def action_open(self) -> None:
        if self.refused("open"):
            return
        self.open_detail()

    def action_face(self) -> None:
        if not self.refused("face"):
            self._face = (self._face + 1) % len(FACES)
            self._show_selected()

    def action_replay(self) -> None:
        one = self.selected
        if not self.refused("replay") and one is not None:
            self.app.ask_to_replay(one.record, run=one.run)

    def action_kill(self) -> None:
        one = self.selected
        if not self.refused("kill") and one is not None:
            self.app.kill(one)

    def action_last(self) -> None:
        self.query_one("#attempts", ItemList).action_last()

    def action_leave(self) -> None:
        self.leave_zoom()
        self.query_one("#attempts").focus()

    def leave_zoom(self) -> bool:
        was = super().leave_zoom()
        if was:
            self.query_one("#attempts").focus()
        return was

    def copied(self) -> tuple[str, str] | None:
        one = self.selected
        if one is None:
            return None
        if FACES[self._face] == "Payload":
            return "payload", replayed(one.record.payload, one.run, one.number)
        return FACES[self._face].lower(), "\n".join(
            "".join(part.text for part in row) for row in face_lines(one, FACES[self._face])
        )


def outcome_role(one: Attempt) -> str:
    return OUTCOME_ROLES.get(one.outcome, "bad")


def milliseconds(one: Attempt) -> float:
    return (perf_counter() - one.started) * 1000 if one.outcome == "running" else one.milliseconds


def heading(cells: int) -> Line:
    words = [fit("seq", 8), "op", fit("table", max(8, cells - 46)), "try ", fit("result", 18), fit_right("ms", 8)]
    return line(span(" ".join(words), "heading"))


def attempt_line(one: Attempt, cells: int) -> Line:
    table = span(table_title(one.record.table_schema, one.record.table_name).removeprefix("public.")).text
    letter = "!" if one.record.kind == "S" else one.record.kind
    return line(
        span(f"{one.record.id:<8} {letter:<2} {fit(table, max(8, cells - 46))} {one.number:>3}  "),
        span(fit(span(one.words).text, 18), outcome_role(one)),
        span(f" {milliseconds(one):>8.1f}", "note"),
    )


def head_lines(one: Attempt) -> list[Line]:
    return [
        line(span("callback ", "label"), span(one.target.name)),
        line(
            span("result   ", "label"),
            span(one.words, outcome_role(one)),
            span(f"  {milliseconds(one):.1f} ms", "note"),
        ),
        line(span("run      ", "label"), span(f"{one.run}, attempt {one.number}", "note")),
    ]


def face_lines(one: Attempt, face: str) -> list[Line]:
    """Result, what it printed, or what it was given."""
    if face == "Payload":
        return text_lines(replayed(one.record.payload, one.run, one.number))
    if face == "Output":
        return output_lines(one)
    lines: list[Line] = []
    if one.outcome == "running":
        lines.append(line(span("running … x kills it", "warning")))
    if one.outcome == "ok":
        lines.append(line(span("returned ", "label"), span(one.returned or "None")))
    if one.message:
        kind = one.error_type.rpartition(".")[2]
        lines += text_lines(f"{kind}: {one.message}" if kind else one.message, "bad")
    if one.traceback:
        lines += [line(), *text_lines(one.traceback.rstrip())]
    return [*lines, line(), *output_lines(one)]


def output_lines(one: Attempt) -> list[Line]:
    lines: list[Line] = []
    for name, data in (("stdout", one.output), ("stderr", one.errors)):
        text = data.decode("utf-8", "replace").rstrip("\n")
        lines += [line(span(name, "heading"), span("" if text else "  (none)", "note"))]
        lines += text_lines(text) if text else []
    if one.dropped_bytes:
        lines.append(line(span(f"… {size_words(one.dropped_bytes)} more were printed and not kept", "note")))
    return lines
