"""Whatever a callback does in a process of its own costs that call, and the next one goes well."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from selectors import SelectorKey

import pytest

from pg_events.callbacks.callback import Callback, Failure, Reported
from pg_events.callbacks.child_process import Child, Outcome, Result, Target, target
from pg_events.callbacks.isolation import OUTPUT_BYTES, isolated
from pg_events.config.settings import Settings
from pg_events.errors import CallbackUnavailable, UsageError
from tests.waiting import ended, until

pytestmark = pytest.mark.timeout(120)

MAD = """
import asyncio, ctypes, faulthandler, os, signal, socket, subprocess, sys, threading, time
from pathlib import Path
from selectors import SelectorKey

HERE = Path(__file__).parent
count = 0

def fine(payload, attempt):
    print("payload", payload, "attempt", attempt)
    print("to stderr", file=sys.stderr)
    return {"done": payload}

def process(payload):
    return os.getpid()

def counts(payload):
    global count
    count += 1
    return count

async def later(payload):
    await asyncio.sleep(0)
    return id(asyncio.get_running_loop())

def hang(payload):
    threading.Event().wait()

def hang_in_c(payload):
    ctypes.PyDLL(None).sleep(1000)

async def hang_later(payload):
    await asyncio.Event().wait()

async def hang_in_the_loop(payload):
    threading.Event().wait()

async def will_not_be_cancelled(payload):
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

def raise_base(payload): raise BaseException("base")
def raise_interrupt(payload): raise KeyboardInterrupt
def recurse(payload): recurse(payload)
def no_memory(payload): raise MemoryError("none left")
def leave(payload): sys.exit(3)
def die(payload): os._exit(4)
def segfault(payload): ctypes.string_at(0)
def kill_itself(payload): os.kill(os.getpid(), signal.SIGKILL)

def flood(payload):
    for _ in range(100):
        os.write(1, b"x" * 1_000_000)

def close_outputs(payload):
    for number in (0, 1, 2):
        os.close(number)

def close_all(payload):
    os.closerange(0, 4096)

def answer_for_itself(payload):
    for number in range(3, 64):
        try:
            socket.socket(fileno=os.dup(number)).send(b"nonsense" * 10)
        except OSError:
            pass

def open_others_instead(payload):
    os.closerange(3, 64)
    others.extend(socket.socket(socket.AF_UNIX) for _ in range(20))
    for other in others:
        other.connect(str(HERE / "listener"))

others = []

def fork_and_return(payload):
    os.fork()
    return payload

def fork_and_vanish(payload):
    if os.fork() == 0:
        signal.pause()
    os._exit(0)

def fork_many(payload):
    for _ in range(4):
        os.fork()
    (HERE / f"bomb.{os.getpid()}").touch()
    signal.pause()

def start_another(payload):
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    (HERE / "started").write_text(str(child.pid))
    threading.Event().wait()

def signalled(payload):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(os.getpid(), number)
    return payload

def hostile(payload):
    print("\\x1b[2J colour \\x1b[31m")
    raise ValueError("\\x1b[2J postgresql://shop:hunter2@db")

class Unspeakable:
    def __repr__(self):
        raise RuntimeError

def unspeakable(payload):
    return Unspeakable()

def connected(payload, connection): ...
def wrong(payload, other): ...

async def keeps(payload):
    async def wait():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            (HERE / "cancelled").touch()
    keeps.task = asyncio.create_task(wait())
    await asyncio.sleep(0)
"""

Printed = dict[int, bytearray]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mad.py").write_text(MAD)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def at(*names: str) -> list[Target]:
    return [Target(name, f"mad.{name}", None, "data_update_callback") for name in names]


@pytest.fixture
def printed() -> Printed:
    return {1: bytearray(), 2: bytearray()}


@pytest.fixture
def start(printed: Printed) -> Iterator[Callable[..., Child]]:
    """`start("hang", timeout_seconds=1)`: a child with that callback; ended with the test."""
    started: list[Child] = []

    def start(*names: str, **options: object) -> Child:
        child = Child(at(*names), lambda number, chunk: printed[number].extend(chunk), **options)  # type: ignore[arg-type]
        started.append(child)
        child.begin()
        return child

    yield start
    for child in started:
        child.end()


def failure(result: Result) -> Failure:
    assert result.failure is not None
    return result.failure


def test_a_call_gives_result_and_output(start: Callable[..., Child], printed: Printed) -> None:
    child = start("fine", spells=True)

    result = child.call(0, '{"é": "\ud800"}', 3)

    assert (result.outcome, result.failure) == ("ok", None)
    assert result.returned == repr({"done": '{"é": "\ud800"}'})
    assert "attempt 3" in printed[1].decode()
    assert printed[2] == b"to stderr\n"


def test_a_process_is_used_for_all_calls_and_callbacks_with_one_loop(start: Callable[..., Child]) -> None:
    child = start("counts", "later", spells=True)

    assert [child.call(0, "{}").returned for _ in range(3)] == ["1", "2", "3"]
    assert len({child.call(1, "{}").returned for _ in range(3)}) == 1


def test_a_large_payload_goes_through(start: Callable[..., Child]) -> None:
    child = start("fork_and_return", spells=True)
    payload = "x" * 30_000_000

    assert child.call(0, payload).returned.startswith("'xxx")


@pytest.mark.parametrize(
    ("name", "outcome", "kind", "message", "where"),
    [
        ("raise_base", "failed", "BaseException", "base", "in raise_base"),
        ("raise_interrupt", "failed", "KeyboardInterrupt", "", "in raise_interrupt"),
        ("recurse", "failed", "RecursionError", "maximum recursion depth", "in recurse"),
        ("no_memory", "failed", "MemoryError", "none left", "in no_memory"),
        ("leave", "failed", "SystemExit", "3", "in leave"),
        ("die", "crashed", "Crashed", "ended with exit code 4", ""),
        ("segfault", "crashed", "Crashed", "terminated by SIGSEGV", "in segfault"),
        ("kill_itself", "crashed", "Crashed", "terminated by SIGKILL", ""),
        ("close_all", "crashed", "Crashed", "before it returned", ""),
        ("answer_for_itself", "crashed", "Crashed", "before it returned", ""),
        ("fork_and_vanish", "crashed", "Crashed", "ended with exit code 0", ""),
        ("hang", "timeout", "TimeoutError", "within the time limit of 0.5 s; its process was killed", "in hang"),
        ("hang_in_c", "timeout", "TimeoutError", "within the time limit of 0.5 s", "in hang_in_c"),
        ("hang_later", "failed", "TimeoutError", "within the time limit of 0.5 s", "in hang_later"),
        ("hang_in_the_loop", "timeout", "TimeoutError", "within the time limit of 0.5 s", "in hang_in_the_loop"),
        ("will_not_be_cancelled", "timeout", "TimeoutError", "within the time limit of 0.5 s", ""),
        ("fork_many", "timeout", "TimeoutError", "within the time limit of 0.5 s", "in fork_many"),
    ],
)
def test_what_goes_wrong_is_told(
    start: Callable[..., Child], name: str, outcome: Outcome, kind: str, message: str, where: str
) -> None:
    child = start(name, timeout_seconds=0.5)

    result = child.call(0, "{}")
    told = failure(result)

    assert (result.outcome, told.type) == (outcome, kind)
    assert message in told.message
    assert where in told.traceback
    assert "/pg_events/" not in told.traceback
    assert child.is_alive is (outcome == "failed")


@pytest.mark.parametrize("name", ["flood", "close_outputs", "fork_and_return", "signalled", "unspeakable", "keeps"])
def test_what_is_odd_but_returns_is_no_failure(start: Callable[..., Child], name: str) -> None:
    child = start(name, spells=True)

    assert child.call(0, "{}").outcome == "ok"


def test_a_flood_of_output_is_read_to_its_end(start: Callable[..., Child], printed: Printed) -> None:
    start("flood").call(0, "{}")

    assert len(printed[1]) == 100_000_000


def test_a_fork_that_returns_answers_nothing(start: Callable[..., Child]) -> None:
    child = start("fork_and_return", "process", spells=True)

    for number in range(5):
        assert child.call(0, f"{number}").returned == f"'{number}'"
    assert len({child.call(1, "{}").returned for _ in range(5)}) == 1


def test_a_process_without_its_outputs_is_not_used_again(start: Callable[..., Child]) -> None:
    child = start("close_outputs")

    assert child.call(0, "{}").outcome == "ok"
    assert not child.is_alive


def test_an_answer_never_goes_to_a_file_of_the_users(start: Callable[..., Child], folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "listener"))
        listener.listen(20)
        result = start("open_others_instead").call(0, "{}")
        received = b""
        for _ in range(20):
            connection, _ = listener.accept()
            with connection:
                received += connection.recv(100)

    assert result.outcome == "crashed"
    assert received == b""


def test_what_a_callback_started_ends_with_it(start: Callable[..., Child], folder: Path) -> None:
    start("start_another", timeout_seconds=2).call(0, "{}")

    ended([int((folder / "started").read_text())])


def test_a_bomb_of_forks_ends_with_its_process(start: Callable[..., Child], folder: Path) -> None:
    start("fork_many", timeout_seconds=2).call(0, "{}")

    bombs = [int(path.suffix[1:]) for path in folder.glob("bomb.*")]
    assert len(bombs) == 16
    ended(bombs)


def test_a_call_can_be_killed_from_another_thread(start: Callable[..., Child], folder: Path) -> None:
    child = start("start_another")
    killer = threading.Thread(target=lambda: (until((folder / "started").exists), child.kill()))
    killer.start()

    result = child.call(0, "{}")
    killer.join()

    assert result.outcome == "killed"


def test_a_process_that_is_closed_may_clean_up(start: Callable[..., Child], folder: Path) -> None:
    child = start("keeps")
    child.call(0, "{}")

    child.close()

    assert (folder / "cancelled").exists()


def test_an_answer_given_with_the_last_breath_counts() -> None:
    child = Child(at("nowhere"), lambda number, chunk: None)
    select = child._selector.select

    def sees_nothing_until_it_is_dead(timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        until(child._is_dead)
        child._selector.select = select
        return []

    child._selector.select = sees_nothing_until_it_is_dead

    with pytest.raises(UsageError, match="has no 'nowhere'"):
        child.begin()


@pytest.mark.skipif(sys.platform != "linux", reason="SIGIO on pipes is Linux's")
def test_a_process_does_not_outlive_its_parent_not_even_in_a_hang(folder: Path) -> None:
    program = (
        "from pg_events.callbacks.child_process import *\n"
        "child = Child([Target('x', 'mad.start_another')], print)\n"
        "print(child._process.pid, flush=True)\nchild.begin()\nchild.call(0, '')"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=folder, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(parent.stdout.readline())]
    until(lambda: (folder / "started").exists() and (folder / "started").read_text() != "")
    pids.append(int((folder / "started").read_text()))

    parent.kill()
    parent.wait()
    parent.stdout.close()

    ended(pids)


# --- kept at hand -------------------------------------------------------------------------------------------------


@pytest.fixture
def isolate() -> Iterator[Callable[..., list[Callback]]]:
    made: list[Callback] = []

    def isolate(*names: str, timeout_seconds: float | None = None) -> list[Callback]:
        callbacks = isolated(at(*names), timeout_seconds)
        made.extend(callbacks)
        return callbacks

    yield isolate
    for callback in made:
        callback.close()


@pytest.mark.parametrize("name", ["die", "segfault", "hang", "close_all", "close_outputs", "flood", "fork_and_vanish"])
def test_after_any_end_the_next_call_goes_well(
    isolate: Callable[..., list[Callback]], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    bad, good = isolate(name, "fine", timeout_seconds=2)

    for attempt in (1, 2):
        with contextlib.suppress(Reported):
            bad("{}", attempt=attempt)
        good("{}", attempt=attempt)

    assert "attempt 2" in capsys.readouterr().out


def test_an_idle_process_that_was_killed_costs_no_attempt(isolate: Callable[..., list[Callback]]) -> None:
    (callback,) = isolate("fine")
    callback("{}")
    child = callback.function.__closure__[1].cell_contents._child  # type: ignore[attr-defined]
    os.kill(child._process.pid, signal.SIGKILL)
    until(lambda: not child.is_alive)

    callback("{}")


def test_output_is_passed_on_without_controls_and_bounded(
    isolate: Callable[..., list[Callback]], capsys: pytest.CaptureFixture[str]
) -> None:
    flood, hostile = isolate("flood", "hostile")

    flood("{}")
    out, err = capsys.readouterr()
    assert out == "x" * OUTPUT_BYTES
    assert "99,934,464 bytes more that the callback printed were dropped" in err

    with pytest.raises(Reported) as raised:
        hostile("{}")
    assert capsys.readouterr().out == "␛[2J colour ␛[31m\n"
    assert raised.value.failure.message == "␛[2J postgresql://shop:***@db"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere", "PG_EVENTS_DATA_UPDATE_CALLBACK = 'mad.nowhere': 'mad' has no 'nowhere'"),
        ("wrong", "cannot be called with the payload"),
        ("connected", "takes a connection, which cannot be passed to a separate process"),
    ],
)
def test_what_cannot_be_called_is_told_at_the_start(name: str, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        isolated(at(name))

    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_module_that_kills_its_importer_is_told_at_the_start(folder: Path) -> None:
    (folder / "deadly.py").write_text("import os; os._exit(5)")

    with pytest.raises(CallbackUnavailable, match="its process ended with exit code 5"):
        isolated([Target("x", "deadly.x", None, "data_update_callback")])


# --- what to call -------------------------------------------------------------------------------------------------


def test_a_function_that_stands_in_the_settings_is_found_through_them(folder: Path) -> None:
    (folder / "chosen.py").write_text("def PG_EVENTS_DATA_UPDATE_CALLBACK(payload): print('found')")
    chosen = Settings(data_update_callback=print, source=str(folder / "chosen.py"))

    (callback,) = isolated([target(chosen, "data_update_callback")])
    try:
        callback("{}")
    finally:
        callback.close()

    assert callback.name == "chosen:PG_EVENTS_DATA_UPDATE_CALLBACK"


def test_a_function_that_only_this_process_has_is_refused() -> None:
    def local(payload: str) -> None: ...

    for function in (local, lambda _payload: None):
        with pytest.raises(UsageError, match="can only import from modules"):
            target(Settings(data_update_callback=function), "data_update_callback")
    assert target(Settings(data_update_callback=print), "data_update_callback").reference == "builtins:print"
