"""Imports run downhill: the core knows no terminal, and a worker stays small."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FACES = ("click", "rich", "textual", "pg_events_tui", "pg_events.cli")
ROOT = Path(__file__).parents[2]


def loaded_by(code: str, *arguments: str) -> set[str]:
    """The modules that a fresh interpreter has when it has run the code."""
    code = f"{code}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(json.loads(answer.stdout.splitlines()[-1]))


def core() -> list[str]:
    """Every module of the package but the commands and the demo."""
    return sorted(
        f"pg_events.{path.stem}" for path in (ROOT / "pg_events").glob("*.py") if not path.stem.startswith("_")
    )


def test_the_core_imports_neither_click_nor_rich_nor_textual() -> None:
    modules = core()
    assert {"pg_events.listener", "pg_events.build", "pg_events.worker"} <= set(modules)

    loaded = loaded_by("\n".join(f"import {module}" for module in ["pg_events", *modules]))

    assert loaded >= set(modules)
    assert loaded.isdisjoint(FACES)


def test_importing_the_package_does_not_even_import_the_driver() -> None:
    assert loaded_by("import pg_events").isdisjoint({*FACES, "psycopg", "asyncio"})


RUN = """
import sys
from pg_events.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
"""


@pytest.mark.parametrize("command", ["--help", "worker --help", "listen --help", "status --help", "build --help"])
def test_no_help_imports_the_console(command: str) -> None:
    loaded = loaded_by(RUN, *command.split())

    assert "click" in loaded
    assert not {name for name in loaded if name.split(".")[0] in ("textual", "pg_events_tui")}


def test_a_worker_that_runs_imports_neither_the_console_nor_rich(built_database_url: str, tmp_path: Path) -> None:
    settings = tmp_path / "settings.py"
    settings.write_text(
        f"PG_EVENTS_DATABASE_URL = {built_database_url!r}\nPG_EVENTS_DB_SCHEMA_UPDATE_CALLBACK = 'builtins.repr'\n"
    )

    loaded = loaded_by(RUN, "worker", "--once", "--from", "oldest", "--settings", str(settings))

    assert "pg_events.worker" in loaded
    assert not {name for name in loaded if name.split(".")[0] in ("rich", "textual", "pg_events_tui")}


def test_the_contracts_on_imports_are_kept() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    if not program.exists() and shutil.which("lint-imports") is None:
        pytest.skip('needs import-linter: pip install "pg_events[dev]"')

    answer = subprocess.run(
        [program if program.exists() else "lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )

    assert answer.returncode == 0, answer.stdout
    assert " 0 broken" in answer.stdout
