"""The ledger's arithmetic: what is missing, what came twice, what nobody wrote."""

import threading
from collections import Counter

from pg_events.demo.ledger import Delivered, Ledger, Verdict


def ledger() -> Ledger:
    """Transaction 7 writes two items and a cart's end, transaction 8 one item."""
    ledger = Ledger()
    ledger.committed(7, {("order_items", "INSERT"): 2, ("carts", "DELETE"): 1})
    ledger.committed(8, {("order_items", "INSERT"): 1})
    return ledger


EVENTS: list[Delivered] = [
    (1, 7, "order_items", "INSERT"),
    (2, 7, "order_items", "INSERT"),
    (3, 7, "carts", "DELETE"),
    (4, 8, "order_items", "INSERT"),
]


def test_it_adds_up_rows_per_transaction_table_and_method() -> None:
    assert ledger().writes == 4
    assert ledger().transactions == 2
    assert ledger().expected() == Counter(
        {(7, "order_items", "INSERT"): 2, (7, "carts", "DELETE"): 1, (8, "order_items", "INSERT"): 1}
    )


def test_everything_once_is_a_clean_verdict_in_any_order() -> None:
    assert ledger().count_delivered(EVENTS) == Verdict(0, 0, 0)
    assert ledger().count_delivered(reversed(EVENTS)) == Verdict(0, 0, 0)
    assert Ledger().count_delivered([]) == Verdict(0, 0, 0)


def test_a_row_that_was_not_delivered_is_missing() -> None:
    assert ledger().count_delivered(EVENTS[1:]) == Verdict(missing=1, duplicates=0, unexpected=0)
    assert ledger().count_delivered([]) == Verdict(missing=4, duplicates=0, unexpected=0)


def test_the_same_id_again_is_a_duplicate_and_does_not_stand_in_for_a_missing_row() -> None:
    events = [EVENTS[0], EVENTS[0], *EVENTS[2:]]

    assert ledger().count_delivered(events) == Verdict(missing=1, duplicates=1, unexpected=0)


def test_a_second_id_for_one_row_is_unexpected_not_a_duplicate() -> None:
    assert ledger().count_delivered([*EVENTS, (5, 8, "order_items", "INSERT")]) == Verdict(0, 0, unexpected=1)


def test_events_of_a_transaction_that_was_rolled_back_are_unexpected() -> None:
    assert ledger().count_delivered([*EVENTS, (5, 9, "carts", "INSERT")]) == Verdict(0, 0, unexpected=1)


def test_the_wrong_method_is_both_missing_and_unexpected() -> None:
    events: list[Delivered] = [*EVENTS[:2], (3, 7, "carts", "UPDATE"), EVENTS[3]]

    assert ledger().count_delivered(events) == Verdict(missing=1, duplicates=0, unexpected=1)


def test_a_statement_that_hit_no_row_expects_no_event() -> None:
    ledger = Ledger()
    ledger.committed(7, {("carts", "DELETE"): 0})

    assert ledger.expected() == Counter()
    assert ledger.count_delivered([]) == Verdict(0, 0, 0)


def test_an_unanswered_commit_may_have_happened_or_not_but_not_in_part() -> None:
    unsure = ledger()
    unsure.unknown(9, {("carts", "INSERT"): 2})
    first, second = (5, 9, "carts", "INSERT"), (6, 9, "carts", "INSERT")

    assert unsure.writes == 4
    assert unsure.unknown_transactions == 1
    assert unsure.count_delivered(EVENTS) == Verdict(0, 0, 0)
    assert unsure.count_delivered([*EVENTS, first, second]) == Verdict(0, 0, 0)
    assert unsure.count_delivered([*EVENTS, first]) == Verdict(missing=1, duplicates=0, unexpected=0)


def test_an_id_that_the_server_gives_again_after_a_crash_belongs_to_the_later_transaction() -> None:
    crashed = Ledger()
    crashed.unknown(7, {("carts", "INSERT"): 5})
    crashed.committed(7, {("stock", "UPDATE"): 1})

    assert crashed.unknown_transactions == 0
    assert crashed.count_delivered([(1, 7, "stock", "UPDATE")]) == Verdict(0, 0, 0)


def test_what_the_writer_counts_on_with_later_does_not_change_the_ledger() -> None:
    ledger = Ledger()
    writes = Counter({("carts", "INSERT"): 1})
    ledger.committed(7, writes)

    writes["carts", "INSERT"] += 1

    assert ledger.writes == 1


def test_several_threads_may_write_at_once() -> None:
    ledger = Ledger()

    def commit(first: int) -> None:
        for xid in range(first, first + 500):
            ledger.committed(xid, {("carts", "INSERT"): 1})

    threads = [threading.Thread(target=commit, args=(first,)) for first in (0, 1000, 2000, 3000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ledger.writes == 2000
