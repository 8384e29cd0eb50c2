"""`worker` under a supervisor: lines for programs, metrics, health."""

import json
import os
import re
import signal
import socket
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HOOKS = """
import json, sys

def fail_on_2(payload):
    if json.loads(payload)["new_data"]["id"] == 2:
        raise ValueError("postgresql://bob:Sup3rS3cret@h/db \\x1b[31m")

def wait(payload):
    open("go").close()  # a pipe: waits for whoever opens its other end

def tell(payload):
    print("got", json.loads(payload)["new_data"]["id"])

def break_us(payload):
    from pg_events.delivery.worker import Worker
    Worker._poll_sometimes = lambda self: 1 / 0
"""
ONCE = ("worker", "--once", "--from", "oldest", "--settings", "settings.py")


@pytest.fixture
def settings(url: str, tmp_path: Path) -> Callable[..., None]:
    """`settings("fail_on_2", LOG_FORMAT="json")` writes `settings.py`."""
    (tmp_path / "hooks.py").write_text(HOOKS)

    def settings(function: str, **more: object) -> None:
        values = {
            "DATABASE_URL": url,
            "DATA_UPDATE_CALLBACK": f"hooks.{function}",
            "MAX_ATTEMPTS": 2,
            "RETRY_SECONDS": 0,
            **more,
        }
        (tmp_path / "settings.py").write_text(
            "\n".join(f"PG_EVENTS_{name} = {value!r}" for name, value in values.items())
        )

    return settings


def objects(err: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in err.splitlines()]


def test_every_line_is_an_object_and_tells_what_failed(call, settings, url, execute) -> None:
    settings("fail_on_2", LOG_FORMAT="json")
    execute(url, "insert into note values (1), (2), (3)")

    answer = call(*ONCE, "--verbose")

    assert answer.code == 1
    assert "Sup3rS3cret" not in answer.err
    lines = objects(answer.err)
    assert all(line.keys() >= {"at", "level", "logger", "message", "consumer"} for line in lines)
    retry, failure = (line for line in lines if "event_id" in line)
    assert (retry["level"], retry["attempt"], retry["seconds"]) == ("warning", 1, 0)  # the first of its kind
    assert failure["level"] == "error"
    assert failure["consumer"] == "default"
    assert failure["callback"] == "hooks:fail_on_2"
    assert failure["table"] == "public.note"
    assert failure["attempt"] == 2
    assert failure["error"] == "ValueError"
    assert "hooks.py" in failure["traceback"]
    assert failure["event_id"] == retry["event_id"]
    assert lines[-1]["error"].startswith("hooks:fail_on_2: ValueError: ")
    assert {name: lines[-2][name] for name in ("delivered", "failed", "retried", "held")} == {
        "delivered": 2,
        "failed": 1,
        "retried": 1,
        "held": 0,
    }


def test_the_option_is_stronger_than_the_setting(call, settings) -> None:
    settings("fail_on_2", LOG_FORMAT="json")

    answer = call(*ONCE, "--log-format", "text")

    assert answer.err.endswith("delivered 0, failed 0, retried 0\n")


@pytest.mark.parametrize(
    ("given", "code", "error"),
    [
        ({"DATABASE_URL": "postgresql://bob:Sup3r%2FS3cret@127.0.0.1:1/db"}, 3, "DatabaseUnreachable"),
        ({"DATABASE_URL": "postgresql://bob:Sup3r/S3cret@127.0.0.1:1/db"}, 2, "UsageError"),
        ({"MAX_ATTEMPTS": 0}, 2, "UsageError"),
        ({"DATA_UPDATE_CALLBACK": "hooks.missing"}, 2, "UsageError"),
    ],
)
def test_what_ends_the_worker_is_an_object_too(call, settings, given, code, error) -> None:
    settings("fail_on_2", **given)

    answer = call(*ONCE, "--log-format", "json")

    assert answer.code == code
    assert answer.out == ""
    assert "S3cret" not in answer.err
    (line,) = objects(answer.err)
    assert (line["level"], line["error"]) == ("critical", error)


def test_a_stop_before_a_failed_event_is_an_object_too(call, settings, url, execute) -> None:
    settings("fail_on_2", ON_FAILURE="stop", LOG_FORMAT="json")
    execute(url, "insert into note values (1), (2), (3)")

    answer = call(*ONCE)

    assert answer.code == 1
    *_, stopped, counts, _last = objects(answer.err)
    assert "stopped before it" in stopped["message"]
    assert (counts["delivered"], counts["failed"]) == (1, 1)


def test_a_bug_of_ours_is_an_object_with_its_traceback(run, settings, url, execute) -> None:
    settings("break_us", LOG_FORMAT="json")
    execute(url, "insert into note values (1)")

    answer = run(*ONCE)

    assert answer.code == 1
    line = objects(answer.err)[-1]
    assert (line["level"], line["error"]) == ("critical", "ZeroDivisionError")
    assert "worker.py" in line["traceback"]


def test_metrics_and_health_are_served_until_the_worker_ends(start, settings, url, execute) -> None:
    settings("fail_on_2", METRICS=0)
    execute(url, "insert into note values (1)")
    process = start("worker", "--settings", "settings.py", "--from", "oldest")

    served = re.search(r"metrics on (http://127\.0\.0\.1:\d+)/metrics", process.until_said("metrics on"))
    assert served is not None
    process.until_said("delivering")
    with urllib.request.urlopen(f"{served[1]}/healthz", timeout=30) as answer:
        health = answer.read()
    with urllib.request.urlopen(f"{served[1]}/metrics", timeout=30) as answer:
        metrics = answer.read().decode()
    process.send_signal(signal.SIGTERM)

    assert health == b"ok\n"
    assert 'pg_events_delivered_total{consumer="default"}' in metrics
    assert "pg_events_build_info{" in metrics
    assert "process_resident_memory_bytes" in metrics
    assert process.answer().code == 0


def test_calls_in_a_process_of_their_own_are_timed_too(start, settings, url, execute) -> None:
    settings("tell", METRICS="127.0.0.1:0", ISOLATE=True)
    execute(url, "insert into note values (1), (2)")
    process = start("worker", "--settings", "settings.py", "--from", "oldest")
    served = re.search(r"metrics on (\S+)/metrics", process.until_said("metrics on"))
    assert served is not None

    assert [process.stdout.readline(), process.stdout.readline()] == ["got 1\n", "got 2\n"]
    with urllib.request.urlopen(f"{served[1]}/metrics", timeout=30) as answer:
        metrics = answer.read().decode()

    # The second one's end may not have been counted yet.
    assert re.search(
        r'^pg_events_callback_duration_seconds_count\{callback="hooks:tell".*\} [12]\.0$', metrics, re.MULTILINE
    )


def test_an_event_that_takes_long_is_told_once_and_so_is_its_end(start, settings, url, execute, tmp_path) -> None:
    settings("wait", STALLED_SECONDS=1)
    os.mkfifo(tmp_path / "go")
    execute(url, "insert into note values (1)")
    process = start("worker", "--settings", "settings.py", "--from", "oldest")

    said = process.until_said("stalled: no event was finished for")
    (tmp_path / "go").open("w").close()
    said += process.until_said("resumed")
    process.send_signal(signal.SIGTERM)
    said += process.answer().err

    assert said.count("stalled") == said.count("resumed") == 1


def test_a_port_that_is_taken_is_one_line(call, settings) -> None:
    settings("fail_on_2")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        answer = call(*ONCE, "--metrics", str(port))

    assert answer.code == 2
    assert answer.line.startswith(f"pg_events: metrics cannot be served on 127.0.0.1:{port}: Address already in use; ")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1", "x" * 300])
def test_an_address_that_is_not_ours_is_one_line(call, settings, host) -> None:
    settings("fail_on_2")

    answer = call(*ONCE, "--metrics", f"{host}:0")

    assert answer.code == 2
    assert "metrics cannot be served on" in answer.line


@pytest.mark.parametrize("address", ["", "x", "70000", ":9187", "::1:9187", "-1", "1.5", "h:\x1b[31m"])
def test_what_is_no_address_is_one_line(call, settings, address) -> None:
    settings("fail_on_2")

    answer = call(*ONCE, "--metrics", address)

    assert answer.code == 2
    assert "--metrics must be a port or HOST:PORT such as 9187 or 0.0.0.0:9187, not " in answer.line


def test_without_the_package_the_remedy_is_told(call, settings, monkeypatch) -> None:
    settings("fail_on_2")
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    for name in ("pg_events.delivery.metrics", "pg_events.delivery.metrics_server"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    answer = call(*ONCE, "--metrics", "0")

    assert answer.code == 2
    assert answer.line == 'pg_events: metrics need an extra package: pip install "pg_events[metrics]"'
