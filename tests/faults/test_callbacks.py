"""What a callback can do to its worker, and a value to a callback."""

import psycopg
import pytest

from tests.faults.harness import Change, committed, execute, judge, wait_until

ERRORS = (
    "ValueError",
    "SystemExit",
    "RecursionError",
    "MemoryError",
    "BaseException",
    "StopIteration",
    "GeneratorExit",
)


def test_row_31_whatever_a_callback_raises_its_neighbours_are_delivered_and_the_event_is_kept(
    url, worker, deliveries
) -> None:
    one = worker(PG_EVENTS_MAX_ATTEMPTS=3).ready()
    for number, error in enumerate(ERRORS[:-1]):
        execute(
            url,
            f"insert into account values ({100 + 2 * number}, 0, 'raise {error}')",
            f"insert into account values ({101 + 2 * number}, 0, 'return')",
        )
    got = deliveries.wait_for(committed(url), one.log)

    assert one.end() == 1
    kept = execute(
        url,
        "select payload::json #>> '{new_data,note}', attempts, error, traceback from pgevents.failed order by event_id",
    )
    assert [row[:2] for row in kept] == [(f"raise {error}", 3) for error in ERRORS[:-1]]
    for (_, _, error, traceback), name in zip(kept, ERRORS, strict=False):
        assert name in error
        assert "worker_settings.py" in traceback
    # Each attempt wrote its line; nothing else came twice.
    assert judge([], committed(url), got).duplicates == 2 * (len(ERRORS) - 1)


@pytest.mark.parametrize("depth", [5000])
def test_row_26_a_value_too_deep_for_python_costs_its_event_and_no_other(url, worker, deliveries, depth) -> None:
    one = worker(PG_EVENTS_MAX_ATTEMPTS=1).ready()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("alter table account add deep json")
        connection.execute("insert into account values (100, 0, '', %s)", ["[" * depth + "]" * depth])
        connection.execute("insert into account (key, version) values (101, 0)")
    deliveries.wait_for(committed(url) - {Change(100, 0)}, one.log)

    failed = "select error, payload from pgevents.failed"
    # Some Pythons read as much.
    wait_until(lambda: execute(url, failed) or Change(100, 0) in {each.change for each in deliveries.read()}, "it came")
    for error, payload in execute(url, failed):
        assert error.startswith("RecursionError")
        assert payload.count("[") == depth


@pytest.mark.parametrize(
    "characters", [7_950, 8_000, 8_192, 1_000_000, 16_000_000, pytest.param(256_000_000, marks=pytest.mark.long)]
)
def test_row_21_a_row_of_any_size_is_written_and_delivered(url, worker, deliveries, characters) -> None:
    worker().ready()

    execute(url, f"insert into account values (100, 0, repeat(' ', {characters}))")
    execute(url, "update account set version = version + 1 where key = 100")

    deliveries.wait_for(committed(url))
    (size,) = execute(
        url, "select length(new_data::text) from pgevents.log where new_data is not null order by id desc"
    )[0]
    assert size > characters


@pytest.mark.long
def test_row_21_a_row_whose_json_exceeds_what_postgresql_can_hold_is_refused_as_documented(
    url, worker, deliveries
) -> None:
    one = worker().ready()

    with pytest.raises(psycopg.errors.ProgramLimitExceeded):
        execute(url, r"insert into account values (100, 0, repeat(e'\x01', 250000000))")
    execute(url, "insert into account values (101, 0)")

    deliveries.wait_for(committed(url), one.log)


@pytest.mark.long
def test_row_26_an_array_of_20_million_elements_is_delivered(url, worker, deliveries) -> None:
    one = worker().ready()

    execute(
        url,
        "alter table account add numbers integer[]",
        "insert into account select 100, 0, '', array_agg(n) from generate_series(1, 20000000) n",
    )

    deliveries.wait_for(committed(url), one.log)
