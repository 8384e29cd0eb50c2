"""What is typed behind `:` is done, or said why not."""

import json

import pytest

from pg_events.config.settings import Settings
from pg_events.files.journal import Header, Writer
from pg_events.playback import runs
from pg_events_tui.model import state
from pg_events_tui.model.backend import NoDatabase
from pg_events_tui.model.places import Place, Places
from pg_events_tui.model.view import Mode
from pg_events_tui.screens.plan import PlanDialog
from tests.tui.replaying import GOOD, ended, states

pytestmark = pytest.mark.timeout(60)


def some(make, count=30):
    return [make.record(number, "D" if number % 3 == 0 else "U") for number in range(count)]


async def command(c, text):
    await c.burst(":", *text, "enter")


def ids(path):
    return [json.loads(line)["id"] for line in path.read_text().splitlines() if '"id"' in line]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [("@focus", [27]), ("@marked", [3, 9]), ("@tx", [27, 28, 29]), ("@shown", list(range(0, 30, 3))),
     ("@all", list(range(30)))],
)  # fmt: skip
def test_write_takes_what_the_selector_says(console, make, tmp_path, selector, expected):
    async def scenario(c):
        c.app.stream.live.marks = {3, 9}
        c.app.screen.filter_by("op:D")
        await c.until(lambda: c.app.stream.live.searching is None)

        await command(c, f"write jsonl {selector} {tmp_path}/some")

        await c.toast(f"{len(expected)} event")
        assert ids(tmp_path / "some.jsonl") == expected

    console(scenario, history=some(make))


def test_a_mistake_is_said_below_the_line_and_can_be_mended(console, make):
    async def scenario(c):
        await command(c, "goto #999")
        await c.toast("event #999 is not among those kept here")

        await command(c, "gato #5")
        assert "there is no command 'gato'; did you mean goto?" in c.text()
        await c.burst(*["backspace"] * 6, *"oto #5", "enter")
        assert c.app.stream.live.selected == 5
        assert c.app.stream.live.mode is Mode.FROZEN

    console(scenario, history=some(make))


def test_tab_completes_and_the_arrows_bring_earlier_lines(console, make):
    async def scenario(c):
        await c.burst(":", *"gi", "tab", *"#5", "escape")
        await c.burst(":", *"go", "tab", *"#5", "enter")
        assert c.app.stream.live.selected == 5

        await c.burst(":", *"plan public.pa", "tab")
        assert c.app.screen.query_one("#ask-input").value == "plan public.payments"
        await c.burst("up")
        assert c.app.screen.query_one("#ask-input").value == "goto #5"
        await c.burst("escape")

    console(scenario, history=some(make))


def test_the_line_lists_what_could_be_meant(console, make):
    async def scenario(c):
        await c.burst(":")
        for words in ("open PATH", "write [jsonl|csv|sql] @shown PATH", "… 9 more"):
            assert words in c.text(), words
        await c.burst(*"re")
        assert "record stop" in c.text()
        assert "open PATH" not in c.text()

    console(scenario, history=some(make))


def test_a_filter_is_kept_under_a_name_and_had_again_the_next_time(console, make, tmp_path):
    path = tmp_path / "state.json"

    async def first(c):
        await c.burst(":", *"filter gone", "enter")
        await c.toast("there is no filter 'gone'; filter save NAME keeps one")
        await c.burst("/", *"op:D", "enter")
        await command(c, "filter save deleted")
        await command(c, "filter save other")
        await command(c, "filter forget other")
        c.app.exit(0)

    async def second(c):
        assert c.app.commands.history[-1] == "filter forget other"
        await c.burst("/", "ctrl+u", "enter")
        assert not c.app.stream.live.filtered

        await c.burst(":", *"filter del", "tab", "enter")
        assert c.app.screen.filter_bar.filtering.text == "op:D"
        await command(c, "filter other")
        await c.toast("there is no filter 'other'; there are deleted")

    console(first, history=some(make), state_path=path)
    console(second, history=some(make), state_path=path)
    assert state.load(path)[0]["filters"] == {"deleted": "op:D"}


def test_columns_are_shown_as_they_are_named(console, make):
    async def scenario(c):
        await command(c, "columns op, seq, size")
        assert list(c.app.screen.events.shown_columns) == ["op", "seq", "size"]
        await command(c, "columns")
        assert "changed" in c.app.screen.events.shown_columns
        await command(c, "columns op,colour")
        await c.toast("there is no column 'colour'; there are seq, ")

    console(scenario, history=some(make))


def test_record_takes_what_matches_until_it_is_stopped(console, make, tmp_path):
    async def scenario(c):
        await command(c, "record stop")
        await c.toast("nothing is recorded")
        await command(c, f"record start {tmp_path}/r.jsonl op:D or")
        await c.toast("'op:D or'")
        await command(c, f"record start {tmp_path}/r.jsonl op:D")
        await c.until(lambda: c.app.files.recorder.path)
        await c.push(make.record(100, "D"), make.record(101), make.record(102, "D"))
        await command(c, "record stop")
        await c.toast("recorded 2 events")

        assert ids(tmp_path / "r.jsonl") == [100, 102]

    console(scenario, history=some(make))


def test_clear_view_hides_what_is_there_until_esc(console, make):
    async def scenario(c):
        await command(c, "clear view")
        await c.tick()
        assert len(c.app.stream.live) == 0
        assert "cleared (esc shows all)" in c.text()

        await c.push(make.record(100))
        assert len(c.app.stream.live) == 1

        await c.burst("escape")
        assert len(c.app.stream.live) == 31

    console(scenario, history=some(make))


def test_plan_shows_the_plan_of_tables_and_does_nothing(console, make):
    backend = make.backend()
    backend.tables += [make.table(7, "totals", "unsupported", "----", "a view has no triggers")]

    async def scenario(c):
        await command(c, "plan nowhere")
        await c.toast("there is no table 'nowhere'")
        await command(c, "plan payments")
        await c.until(lambda: isinstance(c.app.screen, PlanDialog) and c.backend.planned)
        assert c.backend.planned == [(3,)]
        assert not c.backend.applied
        await c.press("escape")

        await command(c, "plan @marked")
        await c.toast("no table is marked")
        c.app.screen.plans.marks |= {2, 5}
        for words in ("payments public.re*, orders", "*", "@marked", ""):
            count = len(c.backend.planned)
            await command(c, f"plan {words}")
            await c.until(lambda count=count: len(c.backend.planned) > count)
            await c.press("escape")
        assert c.backend.planned[1:] == [(3, 4, 1), (1, 2, 3, 4, 5, 6), (2, 5), None]
        await command(c, "plan orders gone")
        await c.toast("there is no table 'gone'")
        c.app.database.coverage = (None, "the database cannot be reached")
        await command(c, "plan orders")
        await c.toast("no plan: the database cannot be reached")
        assert not c.backend.applied

    console(scenario, history=some(make), backend=backend)


def test_readonly_can_be_had_and_given_back_but_not_where_it_was_asked_for(console, make):
    async def scenario(c):
        await command(c, "readonly on")
        assert "[read-only]" in c.text()
        await command(c, "plan")
        await c.toast("no plan: this console is read-only")
        await command(c, "readonly off")
        assert not c.app.database.read_only

    async def started_so(c):
        await command(c, "readonly off")
        await c.toast("and stays so")
        assert c.app.database.read_only

    console(scenario, history=some(make))
    console(started_so, history=some(make), read_only=True)


@pytest.mark.parametrize(
    ("events", "expected"),
    [("@focus", [27]), ("@marked", [3, 9]), ("@tx", [27, 28, 29]), ("@shown", list(range(3, 30, 3))),
     ("@all", list(range(1, 30)))],
)  # fmt: skip
def test_replay_plans_what_the_selector_says_into_the_callback(console, make, callbacks, events, expected):
    callbacks(GOOD)

    async def scenario(c):
        c.app.stream.live.marks = {2, 8}
        c.app.screen.filter_by("op:D")
        await c.until(lambda: c.app.stream.live.searching is None)

        await command(c, f"replay {events} to shop.handlers:on_order speed max")

        await c.until(lambda: c.app.replays.current is not None and c.app.replays.current.planned)
        assert c.app.replays.current.queue.ids() == expected
        assert c.app.current_mode == "replay"
        assert c.app.replays.current.stage == "plan"
        assert c.app.replays.current.into(is_schema=False) == "shop.handlers:on_order"
        assert c.app.replays.pace.speed is None
        assert runs.kept() == []

    console(scenario, history=some(make)[1:])


def test_replay_with_real_asks_when_it_is_planned_and_calls_only_when_told(console, make, callbacks):
    async def scenario(c):
        await command(c, "replay @shown real")
        await c.shows("Call your callback for real?")
        await c.press("enter")
        assert not c.app.replays.current.is_real

        await command(c, "replay @focus real")
        await c.shows("Call your callback for real?")
        await c.press("y")
        done = await ended(c)
        assert states(done) == "o"
        assert done.queue.ids() == [2]

    console(scenario, history=some(make, 3), settings=callbacks(GOOD))


def test_replay_takes_a_file_and_keeps_the_callback_when_it_is_narrowed(console, make, callbacks, tmp_path):
    callbacks(GOOD)
    path = tmp_path / "my shop.jsonl"
    with Writer(path, Header("shop")) as writer:
        for record in some(make, 5):
            writer.write(record.payload)

    async def scenario(c):
        await command(c, f"replay {tmp_path}/none.jsonl to shop.handlers.on_order")
        await c.toast(f"there is no file {tmp_path}/none.jsonl")
        assert c.app.replays.current is None

        await command(c, f'replay "{path}" to shop.handlers.on_order')
        await c.until(lambda: c.app.replays.current is not None and c.app.replays.current.planned)
        assert c.app.replays.current.queue.ids() == [0, 1, 2, 3, 4]

        await c.burst("/", *"id:3", "enter")
        await c.until(lambda: len(c.app.replays.current.queue) == 1 and c.app.replays.current.planned)
        assert c.app.replays.current.into(is_schema=False) == "shop.handlers.on_order"

    console(scenario)


def test_replay_says_in_one_line_what_cannot_be_replayed(console, make, callbacks):
    async def scenario(c):
        await command(c, "replay @marked")
        await c.toast("nothing is marked")
        c.app.screen.filter_by("op:T")
        await c.until(lambda: c.app.stream.live.searching is None)
        await command(c, "replay @shown")
        await c.toast("nothing is shown")
        assert c.app.replays.current is None

    async def saved(c):
        for events in ("@failed", "log"):
            await command(c, f"replay {events}")
            await c.toast(f"no {events}: this is a saved log")
        assert c.app.replays.current is None

    console(scenario, history=some(make), settings=callbacks(GOOD))
    console(saved, history=some(make), backend=NoDatabase("saved.jsonl"))


def test_tab_completes_a_replay(console, make, callbacks):
    async def scenario(c):
        await c.burst(":", *"rep", "tab", *"@m", "tab", *" t", "tab", "tab")
        assert c.app.screen.query_one("#ask-input").value == "replay @marked to shop.handlers.on_order"

    console(scenario, history=some(make), settings=callbacks(GOOD))


def test_open_and_db_lead_to_other_places(console, make, tmp_path):
    log = tmp_path / "a.jsonl"
    log.write_text("")
    staging = Place("staging", Settings(), words="staging")

    async def to_log(c):
        await command(c, f"open {tmp_path}/none.jsonl")
        await c.toast("there is no file")
        await command(c, f"open {log}")
        await c.until(lambda: c.app.navigation.next_place is not None)
        assert c.app.navigation.next_place.log == log

    async def to_database(c):
        await command(c, "db nowhere")
        await c.toast("there is no database 'nowhere'; there are staging")
        await command(c, "db staging")
        await c.until(lambda: c.app.navigation.next_place is not None)
        assert c.app.navigation.next_place is staging

    console(to_log, history=some(make))
    console(to_database, history=some(make), places=Places(profiles=(staging,)))


def test_the_console_itself_is_told_what_to_do(console, make, tmp_path):
    async def scenario(c):
        await command(c, "theme pg-events-light")
        assert c.app.theme == "pg-events-light"
        await command(c, "theme plaid")
        await c.toast("there is no theme 'plaid'")

        await command(c, "stats")
        for words in ("30 events", "UPDATE", "DELETE", "public.orders"):
            assert words in c.text(), words
        await c.burst("escape")

        await command(c, "keys")
        assert "Keys on Live" in c.text()
        await c.burst("escape")

        await command(c, f"screenshot {tmp_path}/live.svg")
        await c.toast("live.svg")
        assert "<svg" in (tmp_path / "live.svg").read_text()

        await command(c, "quit")
        await c.until(lambda: c.app.return_value == 0)

    console(scenario, history=some(make))


def test_the_palette_has_every_command(console, make):
    async def scenario(c):
        titles = [one.title for one in c.app.get_system_commands(c.app.screen)]
        for words in (":open PATH", ":stats", ":clear view", ":goto PLACE", ":readonly on|off"):
            assert words in titles

    console(scenario, history=some(make))
