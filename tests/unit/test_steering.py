"""Steering a playback from another thread: every wait ends when it is told to, and not before."""

import threading
from queue import Queue

import pytest

from pg_events.playback.control import Pace, Steering

pytestmark = pytest.mark.timeout(30)

FOR_EVER = 10_000.0


class Player:
    """A thread that asks for its turn for each event, and tells what it was given."""

    def __init__(self, steering: Steering, events: int, gap: float = 0.0) -> None:
        self.told: Queue[tuple[int, str]] = Queue()
        self._steering, self._events, self._gap = steering, events, gap
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()

    def _play(self) -> None:
        for position in range(1, self._events + 1):
            turn = self._steering.turn(position, self._gap)
            self.told.put((position, turn))
            if turn == "end":
                break
        self.told.put((0, "over"))

    def next(self) -> tuple[int, str]:
        return self.told.get(timeout=20)


def test_without_a_word_everything_is_delivered():
    player = Player(Steering(), 3)

    assert [player.next() for _ in range(4)] == [(1, "deliver"), (2, "deliver"), (3, "deliver"), (0, "over")]


def test_a_step_delivers_one_and_waits():
    steering = Steering(paused=True)
    player = Player(steering, 3)

    steering.step()
    assert player.next() == (1, "deliver")
    steering.step()
    assert player.next() == (2, "deliver")
    steering.stop()
    assert player.next() == (3, "end")


def test_a_pause_ends_with_play():
    steering = Steering(paused=True)
    player = Player(steering, 1)

    steering.play()

    assert player.next() == (1, "deliver")


def test_skipped_while_it_waits_the_next_one_does_not_take_the_step():
    steering = Steering(paused=True)
    player = Player(steering, 2)

    steering.skip(1)
    assert player.next() == (1, "skip")
    steering.step()
    assert player.next() == (2, "deliver")


@pytest.mark.parametrize("paused", [True, False])
def test_stop_ends_every_wait(paused):
    steering = Steering(Pace(speed=1.0, max_gap_seconds=FOR_EVER), paused=paused)
    player = Player(steering, 2, FOR_EVER)

    steering.stop()

    assert player.next() == (1, "end")


def test_another_speed_holds_for_the_pause_that_goes_on():
    steering = Steering(Pace(speed=1.0, max_gap_seconds=FOR_EVER))
    player = Player(steering, 1, FOR_EVER)

    steering.pace = Pace(speed=None)

    assert player.next() == (1, "deliver")


def test_a_step_does_not_wait_for_its_time():
    steering = Steering(Pace(speed=1.0, max_gap_seconds=FOR_EVER))
    player = Player(steering, 1, FOR_EVER)

    steering.step()

    assert player.next() == (1, "deliver")


def test_a_signal_handler_may_strike_while_the_lock_is_held():
    steering = Steering()

    with steering._told:  # as when the handler interrupts the very thread that holds it
        steering.stop()

    assert steering.turn(1, 0.0) == "end"


@pytest.mark.parametrize(
    ("speed", "gap", "seconds"),
    [(None, 9.0, 0.0), (1.0, 2.0, 2.0), (10.0, 2.0, 0.2), (1.0, 99.0, 5.0), (1.0, -3.0, 0.0)],
)
def test_the_seconds_between_two_events(speed, gap, seconds):
    assert Pace(speed=speed).seconds(gap) == seconds
