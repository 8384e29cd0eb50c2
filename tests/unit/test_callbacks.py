"""Callbacks are found by name, called sync or async, and their failures told with the user's own frames."""

import asyncio
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pg_events.callbacks.callback import (
    MESSAGE_CHARACTERS,
    TRACEBACK_CHARACTERS,
    Callback,
    Runner,
    describe_failure,
    is_failure,
    resolve,
)
from pg_events.errors import UsageError

NAME = "PG_EVENTS_DATA_UPDATE_CALLBACK"

SHOP = """
import functools

def changed(payload):
    return payload.upper()

async def changed_later(payload):
    return payload.upper()

class Shop:
    @staticmethod
    def static(payload):
        return payload.upper()
    @classmethod
    async def of_class(cls, payload):
        return payload.upper()
    def method(self, payload):
        return payload.upper()

class Later:
    async def __call__(self, payload):
        return payload.upper()

def two(payload, other): ...
def keyword(payload, *, other): ...
def optional(payload, other=1): return payload.upper()
def first(attempt): return attempt.upper()
def nothing(): ...
def generator(payload): yield
async def async_generator(payload): yield

shop = Shop()
later = Later()
half = functools.partial(changed_later)
wrapped = functools.partial(later)
hidden = lambda payload: changed_later(payload)
number = 5
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory to import from, with a package `market` and its module `shop`; forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "market").mkdir()
    (tmp_path / "market" / "shop.py").write_text(SHOP)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def runner() -> Iterator[Runner]:
    runner = Runner()
    yield runner
    runner.close()


def complaint(reference: object) -> str:
    with pytest.raises(UsageError) as caught:
        resolve(reference, NAME)
    text = str(caught.value)
    assert "\n" not in text
    assert NAME in text
    return text


# --- resolving ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "name", "is_async"),
    [
        ("market.shop.changed", "market.shop:changed", False),
        ("market.shop:changed", "market.shop:changed", False),
        ("market.shop.changed_later", "market.shop:changed_later", True),
        ("market.shop:Shop.static", "market.shop:Shop.static", False),
        ("market.shop.Shop.of_class", "market.shop:Shop.of_class", True),
        ("market.shop:shop.method", "market.shop:shop.method", False),
        ("market.shop:later", "market.shop:later", True),
        ("market.shop:half", "market.shop:half", True),
        ("market.shop:wrapped", "market.shop:wrapped", True),
        ("market.shop:optional", "market.shop:optional", False),
        ("market.shop:first", "market.shop:first", False),
        ("market.shop:hidden", "market.shop:hidden", False),
    ],
)
def test_a_name_becomes_a_callback(runner: Runner, reference: str, name: str, is_async: bool) -> None:
    callback = resolve(reference, NAME, runner)

    assert (callback.name, callback.is_async) == (name, is_async)
    assert callback("payload") == "PAYLOAD"


def test_a_function_becomes_a_callback(runner: Runner) -> None:
    async def later(payload: str) -> str:
        return payload

    class Object:
        def __call__(self, payload: str) -> str:
            return payload

    assert resolve(later, NAME, runner).name.endswith(":test_a_function_becomes_a_callback.<locals>.later")
    assert resolve(later, NAME, runner).is_async
    assert resolve(functools.partial(later), NAME, runner).name.endswith(".later")
    assert resolve(Object(), NAME, runner).name.endswith(".Object")
    assert not resolve(Object(), NAME, runner).is_async
    assert resolve([].append, NAME, runner)("payload") is None


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        (None, "is not set; set it to a function"),
        (5, "must be 'my_module.function' or the function itself, not int"),
        ("changed", "use 'my_module.function'"),
        ("market..changed", "use 'my_module.function'"),
        ("market:shop:changed", "use 'my_module.function'"),
        ("", "use 'my_module.function'"),
        ("nowhere.changed", "no module 'nowhere'"),
        ("nowhere:changed", "no module 'nowhere'"),
        ("market.nowhere:changed", "no module 'market.nowhere'"),
        ("market.shop.chnged", "'market.shop' has no 'chnged'; did you mean 'changed'?"),
        ("market.shop:Shop.statics", "'market.shop.Shop' has no 'statics'; did you mean 'static'?"),
        ("market.shop.number", "is not callable but int"),
        ("market.shop.two", "cannot be called with the payload (missing a required argument: 'other'); write"),
        ("market.shop.keyword", "optional parameters are 'attempt' and 'connection'"),
        ("market.shop.nothing", "cannot be called with the payload (too many positional arguments)"),
        ("market.shop:Shop.method", "it is a method"),
        ("market.shop.generator", "contains 'yield'"),
        ("market.shop.async_generator", "contains 'yield'"),
    ],
)
def test_what_cannot_be_a_callback_is_told(reference: object, says: str) -> None:
    assert says in complaint(reference)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("\nimport not_there", ":2: ModuleNotFoundError: No module named 'not_there'"),
        ("1 / 0", ":1: ZeroDivisionError: division by zero"),
        ("def (", ":1: SyntaxError: "),
        ("import sys; sys.exit(2)", ":1: SystemExit: 2"),
    ],
)
def test_a_module_that_fails_to_import_is_told_with_file_and_line(folder: Path, source: str, says: str) -> None:
    file = folder / "broken.py"
    file.write_text(source)

    for reference in ("broken.changed", "broken:changed"):
        assert f"importing 'broken' failed: {file}{says}" in complaint(reference)


def test_attempt_and_connection_are_given_by_name_to_those_that_have_them(runner: Runner) -> None:
    given: list[object] = []

    def attempted(payload: str, attempt: int) -> None:
        given.append(attempt)

    def connected(payload: str, *, connection: object, other: int = 5) -> None:
        given.append((connection, other))

    async def both(payload: str, connection: object = None, attempt: int = 0) -> None:
        given.append((connection, attempt))

    @functools.wraps(both)
    def decorated(*arguments: Any, **others: Any) -> object:
        return both(*arguments, **others)

    def anything(payload: str, *arguments: object, **others: object) -> None:
        given.append((arguments, others))

    functions = (attempted, connected, both, decorated, functools.partial(both, attempt=9), anything)
    callbacks = [resolve(function, NAME, runner) for function in functions]
    for callback in callbacks:
        callback("payload", attempt=3, connection="link")

    assert [sorted(callback.accepts) for callback in callbacks] == [
        ["attempt"],
        ["connection"],
        ["attempt", "connection"],
        ["attempt", "connection"],
        ["connection"],
        [],
    ]
    assert given == [3, ("link", 5), ("link", 3), ("link", 3), ("link", 9), ((), {})]


# --- calling ------------------------------------------------------------------------------------------------------


def test_async_callbacks_share_one_loop_until_it_is_closed(runner: Runner) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def one(payload: str) -> None:
        loops.append(asyncio.get_running_loop())

    async def other(payload: str) -> None:
        loops.append(asyncio.get_running_loop())

    first, second = resolve(one, NAME, runner), resolve(other, NAME, runner)
    first("1")
    second("2")
    first.close()
    first("3")

    assert loops[0] is loops[1]
    assert loops[0].is_closed()
    assert loops[2] is not loops[0]


def test_closing_a_runner_cancels_what_a_callback_left_running(runner: Runner) -> None:
    cancelled: list[str] = []
    tasks: set[asyncio.Task[None]] = set()

    async def sleeper(payload: str) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(payload)
            raise

    async def changed(payload: str) -> None:
        tasks.add(asyncio.create_task(sleeper(payload)))
        await asyncio.sleep(0)

    callback = resolve(changed, NAME, runner)
    callback("payload")
    callback.close()

    assert cancelled == ["payload"]


def test_calls_from_several_threads_run_one_after_the_other(runner: Runner) -> None:
    steps: list[str] = []

    async def changed(payload: str) -> None:
        steps.append("begin")
        await asyncio.sleep(0)  # the loop may turn to another call here
        steps.append("end")

    callback = resolve(changed, NAME, runner)
    threads = [threading.Thread(target=callback, args=["payload"]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert steps == ["begin", "end"] * 8


@pytest.mark.parametrize("raised", [ValueError, SystemExit, asyncio.CancelledError])
def test_what_a_callback_raises_comes_out_and_the_loop_goes_on(runner: Runner, raised: type[BaseException]) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def changed(payload: str) -> str:
        loops.append(asyncio.get_running_loop())
        if payload == "bad":
            raise raised("no")
        return payload

    callback = resolve(changed, NAME, runner)

    with pytest.raises(raised, match="no"):
        callback("bad")
    assert callback("good") == "good"
    assert loops[0] is loops[1]


def test_an_interrupt_ends_an_async_callback_and_leaves_nothing_behind(runner: Runner) -> None:
    steps: list[str] = []

    async def changed(payload: str) -> str:
        if payload == "interrupt":
            try:
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.Event().wait()
            finally:
                steps.append("cleaned up")
        return payload

    callback = resolve(changed, NAME, runner)

    with pytest.raises(KeyboardInterrupt):
        callback("interrupt")
    assert steps == ["cleaned up"]
    assert callback("next") == "next"


def test_a_signal_handler_that_raises_ends_the_callback_before_the_next_event(
    runner: Runner,
) -> None:
    def stop(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    steps: list[str] = []

    async def changed(payload: str) -> str:
        if payload == "stop":
            try:
                asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
                await asyncio.Event().wait()
            finally:
                steps.append("cleaned up")
        return payload

    callback = resolve(changed, NAME, runner)
    before = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            callback("stop")
    finally:
        signal.signal(signal.SIGTERM, before)

    assert steps == ["cleaned up"]
    assert callback("next") == "next"


# --- failing ------------------------------------------------------------------------------------------------------


def raised_by(function: Callable[[str], object], runner: Runner | None = None) -> BaseException:
    callback = resolve(function, NAME, runner)
    try:
        callback("payload")
    except BaseException as error:
        return error
    finally:
        callback.close()
    raise AssertionError("it did not fail")


def test_a_failure_shows_the_users_frames_only() -> None:
    def inner() -> None:
        raise ValueError("no such order")

    async def changed(payload: str) -> None:
        await asyncio.wait_for(asyncio.gather(later()), 5)

    async def later() -> None:
        inner()

    failure = describe_failure(raised_by(changed))

    assert (failure.type, failure.message) == ("ValueError", "no such order")
    assert "in changed" in failure.traceback
    assert "in inner" in failure.traceback
    assert failure.traceback.endswith("ValueError: no such order\n")
    assert "/pg_events/callbacks/callback.py" not in failure.traceback
    assert "/asyncio/" not in failure.traceback


def test_a_failure_names_its_module_and_its_cause() -> None:
    class OrderError(Exception):
        pass

    def changed(payload: str) -> None:
        try:
            asyncio.run(later())
        except ValueError as error:
            raise OrderError("second") from error

    async def later() -> None:
        raise ValueError("first")

    failure = describe_failure(raised_by(changed))

    assert failure.type.endswith(".OrderError")
    assert failure.type.startswith(__name__)
    assert "ValueError: first" in failure.traceback
    assert "direct cause" in failure.traceback
    assert "/asyncio/" not in failure.traceback


def test_a_group_of_failures_shows_each() -> None:
    async def fail(text: str) -> None:
        raise ValueError(text)

    async def changed(payload: str) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail("first"))
            group.create_task(fail("second"))

    failure = describe_failure(raised_by(changed))

    assert failure.type == "ExceptionGroup"
    assert "ValueError: first" in failure.traceback
    assert "ValueError: second" in failure.traceback
    assert "/asyncio/" not in failure.traceback


def test_a_recursion_error_is_told_in_few_lines() -> None:
    def changed(payload: str) -> None:
        changed(payload)

    failure = describe_failure(raised_by(changed))

    assert failure.type == "RecursionError"
    assert "Previous line repeated" in failure.traceback


class Hostile(Exception):
    """Nothing of it can be asked."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__

    @property
    def __notes__(self) -> list[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        raise RuntimeError("no notes")


def test_an_exception_whose_methods_fail_is_told_all_the_same() -> None:
    failure = describe_failure(Hostile())

    assert failure.type.endswith("Hostile")
    assert failure.message == "<its text cannot be shown>"
    assert "Hostile" in failure.traceback


def test_a_failure_is_bounded_and_keeps_its_end() -> None:
    failure = describe_failure(ValueError("x" * 1_000_000 + "END"))

    assert len(failure.message) <= MESSAGE_CHARACTERS
    assert len(failure.traceback) <= TRACEBACK_CHARACTERS
    assert failure.message.endswith("END")
    assert failure.traceback.endswith("END\n")
    assert "… cut …" in failure.traceback


def test_a_huge_hostile_message_takes_no_time() -> None:
    before = time.process_time()

    describe_failure(ValueError("a://b:" * 5_000_000))

    assert time.process_time() - before < 20


def test_a_failure_can_be_stored_and_shown() -> None:
    failure = describe_failure(ValueError("a\x00b\x1b[2J\ud800\nsecond line postgresql://shop:hunter2@db"))

    assert failure.message == "a␀b␛[2J\ufffd\nsecond line postgresql://shop:***@db"
    assert "\x00" not in failure.traceback
    assert "hunter2" not in failure.traceback


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        (ValueError(), True),
        (SystemExit(), True),
        (asyncio.CancelledError(), True),
        (RecursionError(), True),
        (ExceptionGroup("", [ValueError()]), True),
        (KeyboardInterrupt(), False),
        (GeneratorExit(), False),
        (BaseExceptionGroup("", [ValueError(), KeyboardInterrupt()]), False),
    ],
)
def test_everything_but_an_interrupt_is_a_failure(error: BaseException, failed: bool) -> None:
    assert is_failure(error) is failed


def test_a_callback_can_be_made_by_hand() -> None:
    callback = Callback("here:len", False, len)

    assert callback("four") == 4


@pytest.mark.skipif(sys.version_info < (3, 14), reason="before Python 3.14 such a module cannot be imported")
def test_a_name_that_only_type_checkers_know_may_be_an_annotation() -> None:
    names: dict[str, object] = {}
    exec("def changed(payload: Text, attempt: Number = 1): return payload", names)

    assert resolve(names["changed"], NAME)("four") == "four"


def test_an_awaitable_that_is_no_coroutine_is_awaited(runner: Runner) -> None:
    class Soon:
        def __await__(self) -> Generator[Any, None, str]:
            yield from asyncio.sleep(0).__await__()
            return "done"

    def changed(payload: str) -> Awaitable[object]:
        return Soon()

    assert resolve(changed, NAME, runner)("payload") == "done"


class _Evil:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_a_failure_tells_the_variables_of_the_users_frames_when_asked() -> None:
    def outer(order: dict[str, int]) -> None:
        evil, long = _Evil(), "x" * 5_000
        inner(order["id"], evil, long)

    def inner(number: int, *_rest: object) -> None:
        raise ValueError(number)

    try:
        outer({"id": 7})
    except ValueError as error:
        told, plain = describe_failure(error, with_locals=True), describe_failure(error)
    else:
        pytest.fail("it raised nothing")

    assert "    order = {'id': 7}\n" in told.traceback
    assert "    number = 7\n" in told.traceback
    assert "    evil = <_Evil instance at" in told.traceback
    assert max(map(len, told.traceback.split("\n"))) < 300
    assert "order = " not in plain.traceback
