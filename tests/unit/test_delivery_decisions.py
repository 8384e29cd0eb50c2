"""What is to be done with one event, and whether it is retried: the decisions of a worker, without a server."""

import json

import pytest

from pg_events.callbacks.callback import Callback, Failure
from pg_events.config.settings import Policy
from pg_events.delivery.attempts import End, Handler, Retries
from pg_events.delivery.dispatch import Decision, decide
from pg_events.delivery.row_key import SLOTS
from pg_events.delivery.share import Share
from pg_events.event import Record
from pg_events.log.listener import Cursor

BEGIN = Cursor("10:10:", "20:20:", 0)
FAILURE = Failure("ValueError", "no", "")


class ByTable:
    """Rows by the name of the table, and slots by the number of the event."""

    def key(self, record: Record) -> str:
        return record.table_name or ""

    def slot(self, record: Record) -> int:
        return record.id % SLOTS


def event(number: int, table: str = "item", kind: str = "U", at: str = "noon") -> Record:
    return Record(number, 1, at, kind, "public", table, None, None, None, None, None, None)


def share(slots: range = range(SLOTS)) -> Share:
    return Share(1, slots, BEGIN)


def decided(record: Record, of: Share, blocked: set[str] | None = None, *, is_own: bool = False) -> Decision:
    return decide(record, of, ByTable(), blocked or set(), is_own=is_own)


def test_an_event_of_the_share_is_due() -> None:
    assert decided(event(1), share()) is Decision.DUE
    assert decided(event(1), share(range(2))) is Decision.DUE


def test_an_event_of_another_share_is_not_due_even_if_its_row_is_blocked() -> None:
    assert decided(event(3), share(range(2)), {"item"}) is Decision.OTHER_SHARE


def test_an_event_of_a_blocked_row_is_blocked() -> None:
    assert decided(event(1, "item"), share(), {"item"}) is Decision.BLOCKED
    assert decided(event(1, "other"), share(), {"item"}) is Decision.DUE


def test_a_truncate_is_blocked_by_no_row() -> None:
    assert decided(event(1, "item", "T"), share(), {"item"}) is Decision.DUE


def test_a_finished_event_is_passed_whatever_else_holds() -> None:
    holder = share(range(2))
    holder.finish(event(1))

    assert decided(event(1), holder, {"item"}, is_own=True) is Decision.FINISHED


def test_an_event_with_a_reused_id_is_another_event() -> None:
    holder = share()
    holder.finish(event(1, at="noon"))

    assert decided(event(1, at="one o'clock"), holder) is Decision.DUE


def test_an_own_change_is_skipped_and_not_blocked() -> None:
    assert decided(event(1), share(), {"item"}, is_own=True) is Decision.OWN_CHANGE


def asking(seconds: float) -> Failure:
    return Failure("pg_events.RetryAfter", "", "", retry_after=seconds)


def handler(attempts: int = 3) -> Handler:
    return Handler(Callback("shop:on_order", False, print), Policy(attempts, 1.0, 10.0, "skip"))


def test_pauses_double_until_the_attempts_are_used_up() -> None:
    retries = Retries(handler(4))

    assert [retries.fail(FAILURE, 0.0) for _ in range(4)] == [1.0, 2.0, 4.0, End.GIVE_UP]
    assert retries.failed == 4


def test_attempts_of_a_dead_worker_are_counted_but_not_used_up() -> None:
    retries = Retries(handler(2), failed=0, unconfirmed=3)

    assert retries.number == 4
    assert retries.fail(FAILURE, 0.0) == 1.0
    assert retries.number == 5
    assert retries.fail(FAILURE, 0.0) is End.GIVE_UP


@pytest.mark.parametrize(("failed", "left"), [(0, 3), (1, 2), (2, 1), (3, 3), (4, 3)])
def test_an_event_that_stopped_the_worker_has_all_its_attempts_again(failed: int, left: int) -> None:
    retries = Retries(handler(3), failed)

    pauses = [retries.fail(FAILURE, 0.0) for _ in range(left)]

    assert [pause is End.GIVE_UP for pause in pauses] == [*[False] * (left - 1), True]


def test_retry_after_waits_and_uses_up_no_attempt() -> None:
    retries = Retries(handler(2))

    assert [retries.fail(asking(seconds), 0.5) for seconds in (20.0, 30.0)] == [20.0, 30.0]
    assert (retries.failed, retries.number, retries.waited) == (0, 1, 50.0)


def test_retry_after_waits_as_long_as_the_settings_say_and_then_is_a_failed_attempt() -> None:
    retries = Retries(handler(2), waited=3590.0)

    assert [retries.fail(asking(60.0), 0.0) for _ in range(3)] == [10.0, 1.0, End.GIVE_UP]


def test_retry_after_no_time_does_not_call_without_end() -> None:
    retries = Retries(handler(2), waited=3599.0)

    pauses = [retries.fail(asking(0.0), 0.0) for _ in range(13)]

    assert pauses[0] == 0.1
    assert End.GIVE_UP in pauses


def test_a_discarded_event_is_not_retried() -> None:
    retries = Retries(handler(5))

    assert retries.fail(Failure("pg_events.Discard", "", "", is_discard=True), 0.0) is End.DISCARD
    assert retries.failed == 1


def test_what_an_event_waited_is_saved_with_its_attempts() -> None:
    holder = share()
    holder.retry(3, 1, 2.5)
    holder.retry(4, 2)

    saved = {int(number): value for number, value in json.loads(holder.saved_state()).items()}

    again = Share(1, range(SLOTS), BEGIN, 0, saved)
    assert (again.attempts(3), again.attempts(4)) == ((1, 2.5), (2, 0.0))
    assert json.loads(again.saved_state()) == json.loads(holder.saved_state())


def test_a_share_forgets_what_was_saved_and_keeps_what_is_ahead_of_its_cursor() -> None:
    holder = share()
    holder.finish(event(2))
    holder.finish(event(4))
    holder.retry(3, 2)
    holder.deliver(2)
    holder.fail(event(1), "item", 5, FAILURE, holds=True)
    holder.advance(Cursor("10:10:", "20:20:", 2), event(2))
    assert (holder.delivered, holder.failed, holder.blocking_rows) == (1, 1, {"item"})
    assert holder.saved_state() == '{"3": 2, "4": "noon"}'

    holder.mark_saved()

    assert (holder.delivered, holder.failed, holder.kept) == (0, 0, [])
    assert not holder.is_finished(event(2))
    assert holder.is_finished(event(4))
    assert holder.attempts(3) == (2, 0.0)
    assert holder.saved_cursor == holder.cursor == Cursor("10:10:", "20:20:", 2)


def test_a_share_that_returns_to_the_saved_cursor_knows_what_it_finished() -> None:
    holder = share()
    holder.advance(Cursor("10:10:", "20:20:", 1), event(1))

    holder.return_to(share())

    assert holder.cursor == BEGIN
    assert decided(event(1), holder) is Decision.FINISHED
    assert decided(event(2), holder) is Decision.DUE


def test_an_event_that_is_given_up_or_delivered_has_no_attempts_left_over() -> None:
    holder = share()
    for number in (1, 2):
        holder.retry(number, 1)
    holder.deliver(1)
    holder.fail(event(2), "item", 3, FAILURE)

    assert (holder.attempts(1), holder.attempts(2)) == ((0, 0.0), (0, 0.0))


def test_a_merged_share_knows_all_that_either_knew() -> None:
    one, other = share(range(10)), Share(2, range(10, SLOTS), BEGIN, 2, {7: 1})
    other.finish(event(12))

    one.merge(other)

    assert one.is_whole
    assert one.attempts(7) == (1, 0.0)
    assert one.interruptions == 2
    assert one.is_finished(event(12))
