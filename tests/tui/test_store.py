"""The store: what is appended comes back, the bounds hold, nothing is left behind."""

import os
import threading

import pytest

from pg_events_tui.model.feed import note
from pg_events_tui.model.store import Store, table_title


@pytest.fixture
def store(tmp_path):
    made = Store(max_events=1_000, directory=str(tmp_path))
    yield made
    made.close()


def test_what_was_appended_comes_back_digit_for_digit(store, make):
    record = make.record(7)._replace(new_data='{"n": 1.10, "big": 1e400, "text": "\\u0000"}', query="a\nb\ud800")

    store.append([record])

    assert store.record(0) == record
    assert (store.kind(0), store.id(0), store.xid(0), store.table(0)) == ("U", 7, record.xid, "public.orders")


def test_a_range_of_rows_is_read_across_segments(store, make):
    records = [make.record(number) for number in range(500)]

    store.append(records)

    assert list(store.records(30, 333)) == [(row, records[row]) for row in range(30, 333)]


def test_rows_keep_their_number_when_the_oldest_are_dropped(store, make):
    for number in range(3_000):
        store.append([make.record(number)])

    assert 900 <= len(store) <= 1_000
    assert store.end == 3_000
    assert store.record(2_500).id == 2_500
    with pytest.raises(IndexError):
        store.record(store.first - 1)


def test_a_word_about_the_link_is_a_row_and_no_event(store, make):
    for number in range(0, 3_000, 2):
        store.append([make.record(number), note(number, make.record(number).at, "the connection was lost")])

    assert store.event_count == len(store) / 2
    assert store.table_counts(store.first, store.end) == {"public.orders": store.event_count}


def test_large_events_are_bounded_by_bytes_not_only_by_number(tmp_path, make):
    store = Store(max_events=1_000, max_bytes=1_000_000, directory=str(tmp_path))

    for number in range(100):
        store.append([make.record(number, new={"text": "x" * 50_000})])

    assert store.size_bytes <= 1_100_000
    assert store.record(99).id == 99
    store.close()


def test_rows_of_a_kind_are_found_without_reading_them(store, make):
    store.append([make.ddl(number) if number % 10 == 0 else make.record(number) for number in range(200)])

    assert store.rows_of_kind("S", 15, 105) == [20, 30, 40, 50, 60, 70, 80, 90, 100]


def test_the_files_have_no_name_and_belong_to_the_user_alone(store, make, tmp_path):
    store.append([make.record()])

    assert list(tmp_path.iterdir()) == []
    mode = os.fstat(store._segments[0]._file.fileno()).st_mode
    assert mode & 0o077 == 0


def test_reading_while_another_thread_appends_and_trims(store, make):
    pages = [[make.record(page * 50 + number) for number in range(50)] for page in range(100)]
    problems = []

    def read():
        while store.end < 5_000:
            end = store.end
            try:
                rows = [row for row, record in store.records(end - 40, end) if record.id != row]
                if rows:
                    problems.append(rows)
                if end and store.record(end - 1).id != end - 1:
                    problems.append(end)
            except IndexError:
                continue

    reader = threading.Thread(target=read)
    reader.start()
    for page in pages:
        store.append(page)
    reader.join(30)

    assert not reader.is_alive()
    assert problems == []


def test_a_schema_is_not_named_twice():
    assert table_title("public", "orders") == "public.orders"
    assert table_title("public", "public.orders") == "public.orders"
    assert table_title(None, "shop") == "shop"


def test_what_a_full_disk_cut_short_spoils_nothing_that_comes_later(store, make, monkeypatch):
    store.append([make.record(1)])
    written = os.pwrite

    def full(file, data, place):
        if place == store._segments[-1].size:
            return written(file, bytes(data[:50]), place)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        store.append([make.record(2), make.record(3)])
    assert store.end == 1

    monkeypatch.undo()
    store.append([make.record(2)])

    assert [store.record(row) for row in (0, 1)] == [make.record(1), make.record(2)]


def test_what_is_looked_at_at_one_go_is_bounded_by_rows_and_by_bytes(tmp_path, make):
    kept = Store(max_events=1_000, directory=str(tmp_path))  # 50 to a segment
    kept.append(
        [make.record(number, new={"text": "x" * (5_000_000 if 20 <= number < 24 else 9)}) for number in range(70)]
    )

    assert kept.reach_on(0, 10) == 10
    assert kept.reach_on(0, 40) == 22  # two giants: more than 8 MB
    assert [kept.reach_on(row, 40) for row in (20, 21, 22)] == [22, 23, 24]
    assert kept.reach_on(45, 10) == 50
    assert kept.reach_back(70, 40) == 50
    assert kept.reach_back(50, 10) == 40
    assert [kept.reach_back(row, 40) for row in (50, 24, 23, 1)] == [23, 23, 22, 0]
    kept.close()


def test_looking_slice_by_slice_leaves_no_row_out(tmp_path, make):
    sizes = [9, 3_000_000, 9, 9, 5_000_000, 9_000_000, 9, 9, 9, 4_000_000] * 6
    kept = Store(max_events=800, directory=str(tmp_path))
    kept.append([make.record(number, new={"text": "x" * size}) for number, size in enumerate(sizes)])

    row, there = 0, []
    while row < kept.end:
        there += range(row, kept.reach_on(row, 7))
        row = there[-1] + 1
    back = []
    while row > 0:
        first = kept.reach_back(row, 7)
        back = [*range(first, row), *back]
        row = first

    assert there == back == list(range(60))
    kept.close()
