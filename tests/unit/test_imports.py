"""Imports run downhill: the core knows no terminal, and a worker stays small."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pg_events
from pg_events.cli.commands import cli

FACES = ("click", "rich", "textual", "pg_events_tui", "pg_events.cli")
ROOT = Path(__file__).parents[2]


def loaded_by(code: str, *arguments: str) -> set[str]:
    """The modules that a fresh interpreter has when it has run the code."""
    code = f"{code}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(json.loads(answer.stdout.splitlines()[-1]))


def core() -> list[str]:
    """Every module of the package but the commands, the demo, and what needs a framework."""
    package = ROOT / "pg_events"
    modules = (path.relative_to(ROOT).with_suffix("").parts for path in package.rglob("*.py") if path.name[0] != "_")
    return sorted(".".join(parts) for parts in modules if parts[1] not in ("cli", "contrib", "demo"))


PACKAGES = sorted(path.parent for path in [*ROOT.glob("pg_events/*/__init__.py"), *ROOT.glob("tui/*/*/__init__.py")])


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: str(package.relative_to(ROOT)))
def test_every_package_says_in_a_sentence_what_it_holds(package: Path) -> None:
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text()))

    assert docstring
    assert docstring.splitlines()[0].endswith(".")


def test_only_what_all_packages_use_stands_outside_of_them() -> None:
    assert {path.stem for path in ROOT.glob("pg_events/*.py")} == {"__init__", "__main__", "errors", "event"}
    assert {path.stem for path in ROOT.glob("tui/pg_events_tui/*.py")} == {"__init__"}


def test_the_core_imports_neither_click_nor_rich_nor_textual() -> None:
    modules = core()
    assert {"pg_events.log.listener", "pg_events.triggers.build", "pg_events.delivery.worker"} <= set(modules)

    loaded = loaded_by("\n".join(f"import {module}" for module in ["pg_events", *modules]))

    assert loaded >= set(modules)
    assert loaded.isdisjoint(FACES)


def test_importing_the_package_does_not_even_import_the_driver() -> None:
    assert loaded_by("import pg_events").isdisjoint({*FACES, "psycopg", "asyncio", "pg_events.event"})


def test_the_package_shows_its_public_names_and_no_others() -> None:
    assert dir(pg_events) == sorted(pg_events.__all__)
    assert {"Router", "capture", "parse", "read", "replay"} <= set(dir(pg_events))
    for name in pg_events.__all__:
        assert getattr(pg_events, name) is not None
    assert pg_events.capture.__module__ == "pg_events.testing.capture"
    with pytest.raises(AttributeError, match="'pg_events' has no attribute 'caputre'"):
        _ = pg_events.caputre  # pyright: ignore[reportAttributeAccessIssue]


RUN = """
import sys
from pg_events.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
"""


HEAVY = {"asyncio", "importlib.metadata", "pdb", "prometheus_client", "psycopg", "rich", "textual", "pg_events_tui"}
"""What takes long to import, and what the help of a command needs nothing of."""


@pytest.mark.parametrize(
    "command", ["--help", "--version", *(f"{name} --help" for name in (*cli.commands, "failed retry", "runs show"))]
)
def test_no_help_imports_what_takes_long(command: str) -> None:
    loaded = loaded_by(RUN, *command.split())

    assert "click" in loaded
    assert loaded.isdisjoint(HEAVY)
    assert not {name for name in loaded if name.startswith("pg_events.")} & {
        "pg_events.event",
        "pg_events.config.settings",
    }


@pytest.mark.parametrize("mistake", ["stats", "status --chek", "replay --speed 0"])
def test_no_misspelt_command_imports_what_takes_long(mistake: str) -> None:
    code = RUN.replace("assert not end.code, end.code", "assert end.code == 2, end.code")

    assert loaded_by(code, *mistake.split()).isdisjoint(HEAVY)


@pytest.mark.parametrize("command", ["status", "status --json", "failed list", "prune --keep 1d", "doctor"])
def test_a_command_imports_only_what_it_uses(command: str) -> None:
    """The bar of Rich, the debugger, metrics and the console are for other commands, or other options."""
    code = RUN.replace("assert not end.code, end.code", "assert end.code in (1, 3), end.code")

    loaded = loaded_by(code, *command.split(), "--database-url", "postgresql://127.0.0.1:1/none")

    assert "psycopg" in loaded
    assert loaded.isdisjoint({"rich.markdown", "rich.progress", "prometheus_client", "textual", "pg_events_tui", "pdb"})


def test_a_worker_that_runs_imports_neither_the_console_nor_rich(built_database_url: str, tmp_path: Path) -> None:
    settings = tmp_path / "settings.py"
    settings.write_text(
        f"PG_EVENTS_DATABASE_URL = {built_database_url!r}\nPG_EVENTS_DB_SCHEMA_UPDATE_CALLBACK = 'builtins.repr'\n"
    )

    loaded = loaded_by(RUN, "worker", "--once", "--from", "oldest", "--settings", str(settings))

    assert "pg_events.delivery.worker" in loaded
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
