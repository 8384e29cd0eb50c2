"""A lost database: said at once, nothing lost, nothing blank, never alive when dead."""

import random
import threading
from dataclasses import replace
from time import monotonic

import pytest

from pg_events.errors import DatabaseUnreachable, NotPermitted
from pg_events.files import journal
from pg_events_tui.model.feed import DEADLINE_SECONDS, Intake, Link
from pg_events_tui.model.store import NOTE, Store

pytestmark = pytest.mark.timeout(60)


def test_a_lost_database_is_said_and_history_stays_usable(console, make):
    async def scenario(c):
        c.feed.lose()
        await c.shows("server closed the connection unexpectedly")

        text = c.text()
        assert "○ DOWN" in text
        assert "try " in text
        assert "R now" in text
        assert "-- ev/s" in text
        assert "behind ?" in text
        assert "lag ?" in text
        await c.press("k", "k", "d")
        assert "27" in c.cursor_line()
        await c.press("2")
        await c.shows("○ DOWN")

    console(scenario, history=[make.record(number) for number in range(30)])


def test_after_the_loss_it_goes_on_where_it_stopped_and_says_how_many(console, make):
    async def scenario(c):
        c.feed.lose()
        await c.shows("○ DOWN")
        c.feed.push(*[make.record(number) for number in range(30, 50)])
        c.feed.restore()
        await c.press("R")

        await c.until(lambda: c.app.stream.store.end == 51)
        await c.toast("20 events caught up")
        await c.shows("● LIVE")
        records = [record for _, record in c.app.stream.store.records(0, 51)]
        assert [record.id for record in records if record.kind != NOTE] == list(range(50))
        assert [number for number, record in enumerate(records) if record.kind == NOTE] == [30]
        assert "the connection was lost at" in c.text()
        assert "GAP" not in c.text()
        assert "DOWN" not in c.text()

    console(scenario, history=[make.record(number) for number in range(30)])


def test_a_log_that_was_removed_and_begun_anew_is_a_gap(console, make):
    async def scenario(c):
        c.feed.lose()
        await c.shows("○ DOWN")
        c.feed.log_id += 1
        c.feed.push(make.record(1))  # its ids begin anew, too
        c.feed.restore()
        await c.press("R")

        await c.toast("1 event caught up, but some are missing: see the GAP row")
        await c.shows("GAP: the log was removed meanwhile and begun anew")

    console(scenario, history=[make.record(number) for number in range(30)])


def test_what_is_here_can_be_written_while_the_database_is_lost(console, make, tmp_path, monkeypatch):
    path = tmp_path / "saved.jsonl"

    async def scenario(c):
        c.feed.lose()
        await c.shows("○ DOWN")
        monkeypatch.setattr(c.backend, "journal_header", c.feed._check)
        await c.burst(":", *f"write @all {path}", "enter")
        await c.toast("30 events written")

    console(scenario, history=[make.record(number) for number in range(30)])

    reader = journal.read(path)
    assert [one.event.id for one in reader] == list(range(30))
    assert reader.header.database == "shop"


def test_one_event_is_not_called_events(console, make):
    async def scenario(c):
        assert c.lines()[2].endswith(" 1 event")
        c.feed.lose()
        await c.shows("○ DOWN")
        c.feed.push(make.ddl(2))
        c.feed.restore()
        await c.press("R")

        await c.toast("; 1 event caught up, none missed")
        await c.press("3")
        await c.until(lambda: c.lines()[2].endswith(" 1 schema event"))

    console(scenario, history=[make.record(1)])


def test_a_database_that_is_not_there_at_first_is_asked_again(console, make):
    feed = make.feed([])
    feed.lose(NotPermitted("role reader needs: grant usage on schema pgevents to reader"))

    async def scenario(c):
        await c.shows("no connection")
        assert "grant usage on schema pgevents" in c.text()

        c.feed.restore()
        await c.press("R")
        await c.shows("● LIVE")

    console(scenario, feed=feed)


def test_a_bug_in_the_feed_is_shown_and_not_taken_for_a_quiet_database(console, make):
    async def scenario(c):
        c.feed.lose(ZeroDivisionError("oops [/]"))

        await c.shows("ZeroDivisionError: oops [/]")

    console(scenario, history=[make.record(1)])


def test_a_full_disk_is_said_and_no_event_is_lost(console, make, monkeypatch):
    """The console's own: what it has read and cannot keep stays in hand until there is room again."""

    async def scenario(c):
        append = c.app.stream.store.append

        def full(records):
            if len(records) > 1:
                append(records[:1])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(c.app.stream.store, "append", full)
        c.feed.push(*[make.record(number) for number in range(10, 15)])
        await c.shows("! no room")
        await c.shows("No space left on device; TMPDIR names another place")
        assert "○ DOWN" in c.text()

        monkeypatch.setattr(c.app.stream.store, "append", append)
        c.feed.push(*[make.record(number) for number in range(15, 20)])
        await c.press("R")
        await c.shows("● LIVE")
        await c.until(lambda: c.app.stream.store.event_count == 20)
        records = [record for _, record in c.app.stream.store.records(0, c.app.stream.store.end)]
        assert [record.id for record in records if record.kind != NOTE] == list(range(20))
        assert next(record.query for record in records if record.kind == NOTE).startswith(
            "there was no room for events"
        )

    console(scenario, history=[make.record(number) for number in range(10)])


def test_a_feed_that_does_not_come_back_is_not_called_live():
    link = Link(state="live", heard=100.0)

    assert link.seen(100 + DEADLINE_SECONDS - 1).state == "live"
    assert link.seen(100 + DEADLINE_SECONDS + 1).state == "silent"
    assert "no answer for" in link.seen(100 + DEADLINE_SECONDS + 5).reason


def test_silence_is_shown(console, make):
    async def scenario(c):
        c.app.stream.intake.link = replace(c.app.stream.intake.link, heard=monotonic() - 60)
        link = c.app.stream.link
        c.app.screen.tick(c.app.header(link))
        await c.pilot.pause()

        assert link.state == "silent"

    console(scenario, history=[make.record(1)])


def test_the_wait_between_attempts_grows_and_is_bounded(make):
    feed, store = make.feed([]), Store()
    intake = Intake(feed, store, jitter=random.Random(1))
    waits = []

    for failures in range(12):
        intake._lost("gone", failures)
        waits.append(intake._retry_seconds)

    assert waits[0] < 1
    assert waits[3] > 2 * waits[0]
    assert max(waits) <= 18
    assert len({round(wait, 3) for wait in waits[-4:]}) == 4
    store.close()


def test_the_reader_thread_ends_with_the_console(console, make):
    import threading

    async def scenario(c):
        assert any(thread.name == "pg_events intake" for thread in threading.enumerate())

    console(scenario, history=[make.record(1)])

    assert not any(thread.name == "pg_events intake" for thread in threading.enumerate())


def test_the_past_that_is_read_first_is_no_rate(console, make):
    ticked = threading.Event()

    class Backend(make.backend):
        """Its name is drawn with every tick."""

        reads = 0

        @property
        def name(self):
            self.reads += 1
            if self.reads > 5:
                ticked.set()
            return "shop@db01:5432"

    class SlowFeed(make.feed):
        """Its past comes when the console has drawn some ticks."""

        def recent(self, limit):
            assert ticked.wait(30)
            return super().recent(limit)

    async def scenario(c):
        await c.push(make.record(30), make.record(31))

        assert c.app.stream._rates.series(c.app.clock.now().timestamp() + 1, 1) == [2]

    history = [make.record(number) for number in range(30)]
    console(scenario, history=history, feed=SlowFeed(history), backend=Backend())


def test_health_does_not_pass_off_old_answers_as_those_of_now(console, make):
    async def scenario(c):
        await c.press("5", "d", "d")
        await c.shows("mailer")
        c.feed.lose()
        c.backend.told = replace(c.backend.told, consumers=[])
        await c.press("R")
        await c.shows("no consumer yet")
        c.backend.problem = DatabaseUnreachable("shop@db01:5432: connection refused")
        await c.press("R")

        await c.shows("cannot ask the database")
        assert "answer    none" in c.text()
        assert "as it was before" in c.text()
        assert "no consumer yet" not in c.text()

    console(scenario, history=[make.record(number) for number in range(30)])


def test_what_was_there_before_is_not_what_came_since(console, make):
    async def scenario(c):
        await c.push(*[make.record(number) for number in range(30, 35)])
        await c.press("5")
        await c.tick()

        text = " ".join(c.text().split())
        assert "received 5 events since the start" in text
        assert "before 30 events at the start" in text
        assert c.app.stream.rates.tables["public.orders"].total == 5

    console(scenario, history=[make.record(number) for number in range(30)])


def test_the_past_that_comes_late_was_not_written_now(console, make):
    """The console is opened while the database is down: what it reads when that is back is still the past."""
    feed = make.feed([make.record(number) for number in range(30)])
    feed.lose()

    async def scenario(c):
        await c.shows("○ DOWN")
        c.feed.restore()
        await c.press("R")
        await c.until(lambda: c.app.stream.store.end >= 30 and c.app.stream.link.state == "live")
        await c.push(make.record(30))

        assert c.app.stream.link.since_start == 1
        assert c.app.stream.rates.tables["public.orders"].total == 1

    console(scenario, feed=feed)
