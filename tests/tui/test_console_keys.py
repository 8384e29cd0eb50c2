"""What the keys of Live do beside moving; saved logs; what is remembered; recording and writing."""

import json

import pytest

from pg_events.errors import UsageError
from pg_events.event import record
from pg_events.files import journal
from pg_events.files.journal import Header, Writer
from pg_events_tui.dialogs.questions import Ask
from pg_events_tui.model import state
from pg_events_tui.model.backend import NoDatabase
from pg_events_tui.widgets import keys

pytestmark = pytest.mark.timeout(60)


def some(make, count=30):
    return [make.record(number, "D" if number % 3 == 0 else "U") for number in range(count)]


def test_n_and_shift_n_go_to_matches_without_hiding_anything(console, make):
    async def scenario(c):
        await c.press("g", "ctrl+f")
        await c.type("op:D")
        await c.press("enter")
        await c.until(lambda: c.app.stream.live.selected == 3)
        await c.press("n")
        await c.until(lambda: c.app.stream.live.selected == 6)
        await c.press("N")
        await c.until(lambda: c.app.stream.live.selected == 3)

        assert len(c.app.stream.live) == 30
        await c.press("N", "N")
        await c.toast("no more match above")

    console(scenario, history=some(make))


@pytest.mark.parametrize(("text", "row"), [("#12", 12), ("12", 12), ("11:58:21", 8)])
def test_at_goes_to_a_number_or_a_time(console, make, text, row):
    async def scenario(c):
        await c.press("at")
        field = c.app.screen.query_one("#ask-input")
        field.value = "2026-08-22T11:58:21Z" if ":" in text else text
        await c.press("enter")
        await c.until(lambda: c.app.stream.live.selected == row)

    console(scenario, history=some(make))


def test_a_wrong_place_is_refused_with_the_reason(console, make):
    async def scenario(c):
        await c.press("at")
        c.app.screen.query_one("#ask-input").value = "#99999"
        await c.press("enter")
        assert "event #99999 is not among those kept here" in c.text()
        assert isinstance(c.app.screen, Ask)

    console(scenario, history=some(make))


def test_brackets_follow_the_row_through_its_events(console, make):
    old = {"id": 7, "status": "a"}
    history = some(make)
    for place in (4, 11, 22):
        history[place] = make.record(place, old=old, new=old | {"status": f"at {place}"})

    async def scenario(c):
        c.app.screen.events.choose(11)
        await c.press("left_square_bracket")
        await c.until(lambda: c.app.stream.live.selected == 4)
        await c.press("right_square_bracket")
        await c.until(lambda: c.app.stream.live.selected == 11)
        await c.press("right_square_bracket")
        await c.until(lambda: c.app.stream.live.selected == 22)
        await c.press("right_square_bracket")
        await c.toast("no later event of this row")

    console(scenario, history=history)


@pytest.mark.parametrize(("key", "found"), [("equals_sign", 10), ("number_sign", 20)])
def test_equals_and_hash_filter_by_a_value(console, make, key, found):
    async def scenario(c):
        c.app.screen.events.choose(3)
        await c.press(key, "2")
        await c.tick()
        assert len(c.app.stream.live) == found
        assert ("-op:DELETE" if found == 20 else "/ op:DELETE") in c.lines()[2]

    console(scenario, history=some(make))


def test_shift_m_shows_only_what_is_marked(console, make):
    async def scenario(c):
        await c.press("M")
        await c.toast("nothing is marked")
        await c.press("k", "m", "k", "k", "m", "M")
        await c.tick()
        assert [c.app.stream.live.row(index) for index in range(len(c.app.stream.live))] == [26, 28]
        await c.press("M")
        assert len(c.app.stream.live) == 30

    console(scenario, history=some(make))


def test_sorting_holds_the_view_and_g_goes_back(console, make):
    async def scenario(c):
        await c.press("s", "3")
        await c.tick()
        assert "SORTED by op" in c.text()
        kinds = [c.app.stream.store.kind(c.app.stream.live.row(index)) for index in range(len(c.app.stream.live))]
        assert kinds == sorted(kinds)
        await c.push(make.record(99))
        assert len(c.app.stream.live) == 30
        await c.press("G")
        assert len(c.app.stream.live) == 31
        assert c.app.stream.live.sorted_by == ""

    console(scenario, history=some(make))


def test_columns_are_chosen_and_moved(console, make):
    async def scenario(c):
        await c.press("c", "space", "j", "J", "enter")
        await c.tick()
        assert list(c.app.screen.events.chosen) == ["op", "time", "table", "key", "changed", "tx"]
        assert " op time" in c.text()

    console(scenario, history=some(make))


def test_coverage_of_the_selected_table_and_back(console, make):
    async def scenario(c):
        await c.press("C")
        await c.tick()
        await c.tick()
        assert c.app.current_mode == "coverage"
        assert c.app.screen.selected.identity == "public.orders"

    console(scenario, history=some(make))


def test_written_events_open_as_a_saved_log_and_are_the_same(console, make, tmp_path):
    path = tmp_path / "out.jsonl"

    async def write(c):
        await c.press("w", "s")
        c.app.screen.query_one("#ask-input").value = str(path)
        await c.press("enter")
        await c.toast("31 events written")

    history = [*some(make), make.ddl(30)]
    console(write, history=history)
    assert [record(one.payload) for one in journal.read(path)] == history

    async def read(c):
        await c.shows("■ SAVED LOG")
        assert len(c.app.stream.live) == 31
        assert c.app.stream.store.record(5) == history[5]
        for key, words in (("2", "this is a saved log"), ("5", "this is a saved log")):
            await c.press(key)
            await c.tick()
            assert words in c.text()
        await c.press("W")
        await c.toast("nothing arrives here")

    console(read, feed=path, backend=NoDatabase("out.jsonl"))


def test_in_a_saved_log_ago_counts_from_its_newest_event(console, make, tmp_path):
    path = tmp_path / "old.jsonl"
    with Writer(path, Header("shop")) as writer:
        for record in some(make):  # 125 ms apart
            writer.write(record.payload)

    async def scenario(c):
        await c.shows("■ SAVED LOG")
        await c.press("/")
        await c.type("since:1s")
        await c.press("enter")
        await c.until(lambda: len(c.app.stream.live) == 9)
        await c.press("@")
        c.app.screen.query_one("#ask-input").value = "2s"
        await c.press("enter")
        await c.until(lambda: c.app.stream.live.selected == 13)

    console(scenario, feed=path, backend=NoDatabase("old.jsonl"))


def test_what_counts_from_the_end_of_a_saved_log_counts_anew_when_it_is_read(console, make, tmp_path):
    path, kept = tmp_path / "old.jsonl", tmp_path / "state.json"
    with Writer(path, Header("shop")) as writer:
        for record in some(make):
            writer.write(record.payload)
    state.save(kept, {"live": {"filter": "since:1s", "on": True}})  # applied before a line is read

    async def scenario(c):
        await c.shows("■ SAVED LOG")
        await c.until(lambda: len(c.app.stream.live) == 9)

    console(scenario, feed=path, backend=NoDatabase("old.jsonl"), state_path=kept)


def test_broken_lines_of_a_saved_log_are_said_not_hidden(console, make, tmp_path):
    path = tmp_path / "broken.jsonl"
    with Writer(path, Header("shop")) as writer:
        writer.write(make.record(1).payload)
    path.write_bytes(path.read_bytes() + b'{"id": 2, \n')

    async def scenario(c):
        said = await c.toast("could not be read")
        assert "line 3" in said
        assert len(c.app.stream.live) == 1

    console(scenario, feed=path, backend=NoDatabase("broken.jsonl"))


def test_a_recording_holds_what_arrived_and_the_header_says_so(console, make, tmp_path):
    path = tmp_path / "live.jsonl"

    async def scenario(c):
        await c.press("W")
        c.app.screen.query_one("#ask-input").value = str(path)
        await c.press("enter")
        await c.toast("recording to")
        await c.push(make.record(31), make.record(32))
        await c.until(lambda: "● REC" in c.lines()[0])
        await c.press("W")
        await c.toast("recorded 2 events")
        await c.until(lambda: "REC" not in c.lines()[0])

    console(scenario, history=some(make))
    assert [one.event.id for one in journal.read(path)] == [31, 32]
    assert path.stat().st_mode & 0o077 == 0


def test_a_pruned_log_shows_as_a_gap(console, make):
    async def scenario(c):
        c.feed.oldest_id = 500
        c.feed.lose()
        await c.shows("○ DOWN")
        c.feed.restore()
        await c.press("R")
        await c.shows("GAP: the log was pruned meanwhile")

    console(scenario, history=some(make))


def test_filter_columns_marks_and_screen_are_there_again(console, make, tmp_path):
    kept = tmp_path / "state.json"

    async def first(c):
        await c.press("k", "m")
        c.app.screen.filter_by("op:U")
        c.app.screen.events.chosen = ("op", "table")
        await c.press("3")
        await c.tick()
        c.app.save_state()

    async def second(c):
        assert c.app.current_mode == "schema"
        await c.press("1")
        await c.tick()
        assert c.app.screen.filter_bar.filtering.text == "op:U"
        assert c.app.screen.filter_bar.filtering.on
        assert len(c.app.stream.live) == 20
        assert c.app.screen.events.chosen == ("op", "table")
        assert c.app.stream.live.marks == {28}

    console(first, history=some(make), state_path=kept)
    assert kept.stat().st_mode & 0o077 == 0
    console(second, history=some(make), state_path=kept)


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"version": 99}', b"\xff", b'{"version": 1, "live": 7, "marks": "x"}']
)
def test_a_broken_memory_is_passed_over(console, make, tmp_path, content):
    kept = tmp_path / "state.json"
    kept.write_bytes(content)

    async def scenario(c):
        assert c.app.current_mode == "live"
        assert len(c.app.stream.live) == 30
        if b'"version": 1,' not in content:
            await c.toast("passed over")

    console(scenario, history=some(make), state_path=kept)


def test_too_much_memory_is_not_kept(tmp_path):
    assert "bytes to remember" in state.save(tmp_path / "x", {"filter": "x" * 300_000})
    assert not (tmp_path / "x").exists()


def test_other_keys_do_what_the_table_says(console, make):
    async def scenario(c):
        await c.press("f5")
        assert c.app.stream.live.marks == {29}
        await c.press("m")
        assert c.app.stream.live.marks == {29}
        assert " f5 mark" in c.text()

    console(scenario, history=some(make), keymap={"events.mark": "f5"})


def test_keys_that_are_unknown_or_taken_are_refused():
    with pytest.raises(UsageError, match="did you mean"):
        keys.remapped({"events.marc": "x"})
    with pytest.raises(UsageError, match="both"):
        keys.remapped({"events.mark": "r"})


def test_a_failed_event_is_forgotten_after_a_question(console):
    async def scenario(c):
        await c.press("5", "d")
        await c.tick()
        assert "KeyError: 'paid_ref'" in c.text()
        await c.press("X")
        assert "Forget this failed event?" in c.text()
        await c.press("X")
        assert c.backend.discarded == []
        await c.press("escape", "X", "y")
        await c.toast("is forgotten")
        assert c.backend.discarded == [("default", 7)]

    console(scenario)


def test_a_consumer_is_paused_and_resumed_after_a_question(console):
    async def scenario(c):
        await c.press("5", "p")
        await c.toast("no consumer is selected")
        await c.press("d", "d")
        await c.tick()
        await c.press("p")
        assert "Pause this consumer?" in c.text()
        await c.press("escape")
        assert not c.backend.told.consumers[0].is_paused
        await c.press("p", "y")
        await c.toast("consumer default is paused; its workers finish their current calls")
        assert c.backend.told.consumers[0].is_paused
        await c.tick()
        assert "paused" in c.text()
        await c.press("p")
        assert "Resume this consumer?" in c.text()
        await c.press("y")
        await c.toast("consumer default is resumed")
        assert not c.backend.told.consumers[0].is_paused

    console(scenario)


def test_reading_only_no_consumer_is_paused(console):
    async def scenario(c):
        await c.press("5", "d", "d", "p")
        await c.toast("--read-only")
        assert not c.backend.told.consumers[0].is_paused

    console(scenario, read_only=True)


def test_reading_only_nothing_is_forgotten(console):
    async def scenario(c):
        await c.press("5", "d", "X")
        await c.toast("--read-only")
        assert c.backend.discarded == []

    console(scenario, read_only=True)


def test_the_event_log_keeps_what_toasts_said(console, make):
    async def scenario(c):
        await c.press("M")
        await c.toast("nothing is marked")
        await c.press("E")
        await c.tick()
        assert "WARN nothing is marked" in c.text()

    console(scenario, history=some(make))


@pytest.mark.parametrize("letter", "ypdnosrfxc")
def test_every_form_of_copy(console, make, letter):
    async def scenario(c):
        await c.press("y", letter)
        await c.toast("copied")
        assert json.dumps(c.app.clipboard)

    console(scenario, history=[make.record(5)])


def test_a_failed_event_is_delivered_again_after_a_question(console):
    async def scenario(c):
        await c.press("5", "d")
        await c.tick()
        await c.press("r", "r")
        assert c.backend.retried == []
        await c.press("escape", "r", "y")
        await c.toast("delivered again")
        assert c.backend.retried == [("default", 7)]

    console(scenario)
