"""The view: whatever is appended, trimmed or filtered, the row the user chose stays chosen."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pg_events.event import Record
from pg_events_tui.model.store import Store
from pg_events_tui.model.view import Mode, View


def record(number):
    return Record(number, number, "2026-01-01T00:00:00+00:00", "IUD"[number % 3], "s", "t", None, None, None, None,
                  json.dumps({"id": number}), None)  # fmt: skip


def multiple_of(step):
    return lambda start, stop: [row for row in range(start, stop) if row % step == 0]


class Model:
    """The view's promise, told as simply as can be: a list of rows that pass, and a chosen row."""

    def __init__(self):
        self.store = Store(max_events=60)
        self.view = View(self.store)
        self.step = 1

    def append(self, count):
        self.store.append([record(self.store.end + number) for number in range(count)])
        self.settle()

    def settle(self):
        self.view.sync(10)
        while self.view.search(10):
            pass

    def filter(self, step):
        self.step = step
        self.view.set_filter(None if step == 1 else multiple_of(step))
        self.settle()

    def shown(self):
        return [self.view.row(index) for index in range(len(self.view))]


actions = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 25)),
    st.tuples(st.just("filter"), st.sampled_from([1, 2, 3, 7])),
    st.tuples(st.just("move"), st.integers(-9, 9)),
    st.tuples(st.just("select"), st.integers(0, 70)),
    st.tuples(st.just("pause"), st.none()),
    st.tuples(st.just("follow"), st.none()),
    st.tuples(st.just("mark"), st.none()),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(actions, max_size=40))
def test_only_the_user_moves_the_selection(script):
    model = Model()
    view, store = model.view, model.store
    model.append(5)

    for what, value in script:
        before, mode = view.selected, view.mode
        shown_before = model.shown()
        match what:
            case "append":
                model.append(value)
            case "filter":
                model.filter(value)
            case "move":
                view.move(value)
            case "select":
                view.select(value)
            case "pause":
                view.toggle_pause()
            case "follow":
                view.follow()
            case "mark":
                view.toggle_mark()

        shown = model.shown()
        passing = [row for row in range(store.first, store.end) if row % model.step == 0]
        assert shown == sorted(set(shown))
        assert set(shown) <= set(passing)
        if view.mode is not Mode.PAUSED:
            assert shown == passing
            assert view.new <= len(passing)
        else:
            assert view.new + len(shown) >= len(passing)
        if shown:
            assert view.row(view.selected_index) == view.selected
        if what == "append" and mode is not Mode.FOLLOW and before in shown:
            assert view.selected == before
        if what == "append" and mode is Mode.PAUSED:
            assert shown == [row for row in shown_before if row >= store.first]
        if what == "filter" and mode is not Mode.FOLLOW and view.wanted in shown:
            assert view.selected == view.wanted
        if view.mode is Mode.FOLLOW and shown:
            assert view.selected == shown[-1]
        assert all(mark >= store.first for mark in view.marks) or what != "append"
    store.close()


@pytest.fixture
def model():
    made = Model()
    yield made
    made.store.close()


def test_following_selects_the_newest(model):
    model.append(3)
    model.append(2)

    assert model.view.selected == 4
    assert model.view.new == 0


def test_moving_ends_following_and_new_rows_are_counted(model):
    model.append(10)

    model.view.move(-3)
    model.append(4)

    assert (model.view.mode, model.view.selected, model.view.new) == (Mode.FROZEN, 6, 4)


def test_rows_the_user_has_been_at_are_not_new(model):
    model.append(10)
    model.view.move(-1)
    model.append(4)

    model.view.move(3)

    assert model.view.selected == 11
    assert model.view.new == 2


def test_new_counts_what_passes_the_filter(model):
    model.append(10)
    model.filter(5)
    model.view.move(-1)

    model.append(10)

    assert model.view.new == 2


def test_a_paused_view_does_not_grow_and_counts_what_waits(model):
    model.append(10)

    model.view.toggle_pause()
    model.append(7)

    assert len(model.view) == 10
    assert model.view.new == 7
    model.view.toggle_pause()
    assert (len(model.view), model.view.selected, model.view.new) == (17, 16, 0)


def test_a_filter_that_hides_the_selected_row_gives_it_back(model):
    model.append(20)
    model.view.select(11)

    model.filter(5)
    hidden = model.view.selected
    model.filter(1)

    assert hidden == 10
    assert model.view.selected == 11


def test_when_the_selected_row_is_trimmed_the_oldest_is_selected(model):
    model.append(30)
    model.view.select(0)

    model.append(100)

    assert model.view.selected == model.store.first


def test_newest_first_is_the_same_upside_down():
    store = Store()
    view = View(store, newest_first=True)
    store.append([record(number) for number in range(5)])
    view.sync()

    assert [view.row(index) for index in range(5)] == [4, 3, 2, 1, 0]
    view.select(1)
    store.append([record(5)])
    view.sync()
    assert (view.selected, view.selected_index) == (3, 2)
    store.close()
