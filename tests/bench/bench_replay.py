"""What replaying costs: a large saved log through a callback, in this process and in one of its own.

    python tests/bench/bench_replay.py [--events 1000000]

Each case runs in a fresh interpreter; its memory is the peak of that process, which must not grow with the file.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

CASES = {
    "read": "for line in journal.read(path):\n    events += 1",
    "read, filtered": "events = sum(1 for _ in pg_events.read(path, where='op:U new.total>100'))",
    "replay in this process": "events = pg_events.replay(path, callback).delivered",
    "replay in another process": (
        "source = FileSource(path, filters.parse(''))\n"
        "caller = there(Settings(), [('builtins:len', '--callback')], lambda number, text: None)\n"
        "playback = Playback(source, caller, Routes(0, 0))\n"
        "for _ in playback.run():\n    events += 1"
    ),
    "replay in this process, kept": "events = pg_events.replay(path, callback, keep=True).delivered",
}

PROGRAM = """
import json, sys, time
import pg_events
from pg_events.filter import parser as filters
from pg_events.files import journal
from pg_events.playback.targets import Routes, there
from pg_events.playback.player import Playback
from pg_events.config.settings import Settings
from pg_events.playback.source import FileSource

def callback(payload):
    pass

def peak():
    # Not getrusage: what it tells includes the process that started this one.
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])

path, events = sys.argv[1], 0
started = time.perf_counter()
{case}
print(json.dumps([events, time.perf_counter() - started, peak()]))
"""


def make(path: Path, events: int) -> None:
    """Updates of orders, and an insert before each tenth, as a shop would leave them."""
    from pg_events.event import Record
    from pg_events.files import journal

    with journal.Writer(path, journal.Header("shop")) as writer:
        for number in range(events):
            new = f'{{"id":{number % 1000},"status":"paid","total":{number % 500}.50,"note":"{"x" * 60}"}}'
            record = Record(
                number, number // 3, "2026-11-23T09:29:26.229689+00:00", "I" if number % 10 == 0 else "U", "shop", "orders",
                "app", "checkout", "update shop.orders set status = 'paid'", None if number % 10 == 0 else new, new, None,
            )  # fmt: skip
            writer.write(record.payload)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        make(path, options.events)
        size = path.stat().st_size / 1e6
        print(f"{options.events:,} events, {size:,.0f} MB", file=sys.stderr)
        for name, case in CASES.items():
            answer = subprocess.run(
                [sys.executable, "-c", PROGRAM.format(case=case), str(path)],
                capture_output=True, text=True, check=True, env={"XDG_STATE_HOME": folder, "PATH": ""},
            )  # fmt: skip
            events, seconds, memory = json.loads(answer.stdout)
            if options.json:
                print(json.dumps({"case": name, "events": events, "seconds": round(seconds, 2), "peak_kb": memory}))
            else:
                print(f"{name:<30} {events / seconds:>10,.0f} events/s  {seconds:>7.1f} s  {memory / 1000:,.0f} MB")


if __name__ == "__main__":
    main()
