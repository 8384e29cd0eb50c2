"""Batch callbacks: how they are recognised, what they are called with, and when a batch is halved."""

import json
from collections.abc import Callable, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pg_events
from pg_events.callbacks.batch import Items
from pg_events.callbacks.callback import Failure, resolve
from pg_events.config.fields import read
from pg_events.config.settings import Policy
from pg_events.delivery.attempts import BatchRetries, Handler
from pg_events.errors import UsageError
from pg_events.event import PayloadWriter, Record

FAILURE = Failure("ValueError", "no", "")


def payloads(payloads: list[str]) -> object:
    return payloads


def sequence(payloads: Sequence[str]) -> object:
    return payloads


def bare(payloads: list) -> object:  # pyright: ignore[reportMissingTypeArgument, reportUnknownParameterType]
    return payloads  # pyright: ignore[reportUnknownVariableType]


def quoted(payloads: "list[str]") -> object:
    return payloads


def events(events: list[pg_events.DataEvent]) -> object:
    return events


def union(events: "list[pg_events.DataEvent | pg_events.ApplicationEvent]") -> object:
    return events


def real_union(events: list[pg_events.DataEvent | pg_events.SchemaEvent]) -> object:
    return events


def single(payload: str) -> object:
    return payload


def words(payload: tuple[str, ...]) -> object:
    return payload


def numbers(payloads: list[int]) -> object:
    return payloads


def dictionaries(payloads: "list[dict[str, object]]") -> object:
    return payloads


PAYLOAD = json.dumps({"id": 7, "xid": 1, "at": "2026-11-23T09:29:26+00:00", "table_schema": "public", "table_name": "t",
                      "session_user": "app",
                      "method": "INSERT", "new_data": {"id": 1}})  # fmt: skip


@pytest.mark.parametrize("function", [payloads, sequence, bare, quoted])
def test_a_list_of_payloads_is_a_batch(function: Callable[..., object]) -> None:
    callback = resolve(function, "PG_EVENTS_DATA_UPDATE_CALLBACK")
    assert callback.items is Items.PAYLOADS
    assert callback([PAYLOAD, PAYLOAD]) == [PAYLOAD, PAYLOAD]
    assert callback(PAYLOAD) == [PAYLOAD]


@pytest.mark.parametrize("function", [events, union, real_union])
def test_a_list_of_typed_events_is_a_batch_of_them(function: Callable[..., object]) -> None:
    callback = resolve(function, "PG_EVENTS_DATA_UPDATE_CALLBACK")
    assert callback.items is Items.EVENTS
    assert callback([PAYLOAD]) == [pg_events.parse(PAYLOAD)]
    assert callback(PAYLOAD) == [pg_events.parse(PAYLOAD)]


@pytest.mark.parametrize("function", [single, words])
def test_anything_else_takes_single_events(function: Callable[..., object]) -> None:
    callback = resolve(function, "PG_EVENTS_DATA_UPDATE_CALLBACK")
    assert not callback.is_batch
    assert callback(PAYLOAD) == PAYLOAD


@pytest.mark.parametrize(("function", "item"), [(numbers, "int"), (dictionaries, "dict")])
def test_a_list_of_something_else_is_an_error(function: Callable[..., object], item: str) -> None:
    with pytest.raises(UsageError, match=f"takes a list of {item}.*; annotate list\\[str\\] for payloads"):
        resolve(function, "PG_EVENTS_DATA_UPDATE_CALLBACK")


def test_a_router_takes_no_batch_callback() -> None:
    with pytest.raises(UsageError, match="takes a list: a router passes single events"):
        pg_events.Router().on("orders")(payloads)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("PG_EVENTS_BATCH_SIZE", 0, "a whole number from 1 to 10,000, not 0"),
        ("PG_EVENTS_BATCH_SIZE", 10_001, "a whole number from 1 to 10,000"),
        ("PG_EVENTS_BATCH_SIZE", "all", "a whole number from 1 to 10,000"),
        ("PG_EVENTS_BATCH_SECONDS", -1, "a number of seconds, 0 or more"),
        ("PG_EVENTS_BATCH_SECONDS", 11, "a number of seconds, 0 to 10, not 11"),
    ],
)
def test_a_size_or_time_that_is_not_valid_is_an_error(name: str, value: object, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        read(cast("ModuleType", SimpleNamespace(**{name: value})), "settings")


# --- retrying and halving -----------------------------------------------------------------------------------------


def retries(*, attempts: int = 5, is_part: bool = False, **policy: Any) -> BatchRetries:
    return BatchRetries(Handler(resolve(payloads, "x"), Policy(attempts, 2.0, 60.0, "skip", **policy)), is_part=is_part)


def test_a_batch_is_retried_once_and_then_halved() -> None:
    state = retries()
    assert state.number == 1
    assert state.fail(FAILURE, 0.0) == 2.0
    assert state.number == 2
    assert state.fail(FAILURE, 0.0) is None


@pytest.mark.parametrize(
    ("state", "failure"),
    [
        (retries(is_part=True), FAILURE),
        (retries(attempts=1), FAILURE),
        (retries(), Failure("pg_events.Discard", "", "", is_discard=True)),
        (retries(give_up_on=("ValueError",)), FAILURE),
        (retries(retry_on=("TimeoutError",)), FAILURE),
    ],
)
def test_a_batch_is_halved_at_once(state: BatchRetries, failure: Failure) -> None:
    assert state.fail(failure, 0.0) is None


def test_retry_after_is_waited_for_within_its_limit_also_by_a_part() -> None:
    state = retries(is_part=True, retry_after_max_seconds=5.0)
    asked = Failure("pg_events.RetryAfter", "", "", retry_after=3.0)
    assert [state.fail(asked, 0.0) for _ in range(3)] == [3.0, 2.0, None]
    assert state.number == 2


# --- payloads -----------------------------------------------------------------------------------------------------

texts = st.sampled_from(["a", 'q"uote', "line\nbreak", "é", ""])
optional = st.none() | texts
rows = st.sampled_from([None, '{"id": 1}', '{"v": {"a":\n 1}}', "{}"])
records = st.builds(
    Record,
    st.integers(1, 9),
    st.integers(1, 2),
    st.just("2026-11-23T09:29:26+00:00"),
    st.sampled_from("IUDTSE?"),
    st.sampled_from(["public", None]),
    texts,
    optional,
    optional,
    optional,
    rows,
    rows,
    st.sampled_from([None, '{"key": "k"}', '{"command_tag": "ALTER TABLE"}']),
    st.sampled_from([None, '{"user": 1}', "not JSON"]),
)


@given(st.lists(records, max_size=8))
def test_a_writer_of_payloads_writes_what_each_record_says(several: list[Record]) -> None:
    write = PayloadWriter()
    assert [write(record) for record in several] == [record.payload for record in several]
