"""Settings come from a module, a file, the environment or an option; a wrong one is told in one line."""

import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from pg_events.config.fields import FULL_QUERY
from pg_events.config.settings import Settings, load
from pg_events.errors import UsageError

URL = "postgresql://shop:hunter2@db/shop"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current directory: empty; what a test imports from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def settings_of(folder: Path, text: str) -> Settings:
    return load(write(folder / "app_settings.py", f"PG_EVENTS_DATABASE_URL = {URL!r}\n{text}"), environ={})


def complaint(settings: str | None, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        load(settings, environ=environ or {})
    text = str(caught.value)
    assert "\n" not in text
    assert "hunter2" not in text
    return text


# --- where they come from -----------------------------------------------------------------------------------------


def test_a_module_is_read_from_the_current_directory(folder: Path) -> None:
    write(folder / "my_module" / "settings.py", f"PG_EVENTS_DATABASE_URL = {URL!r}")

    settings = load("my_module.settings", environ={})

    assert settings == Settings(database_url=URL, source="my_module.settings")


def test_a_file_is_read_and_modules_beside_it_can_be_imported(folder: Path) -> None:
    write(folder / "deep" / "beside_it.py", f"url = {URL!r}")
    write(folder / "deep" / "app_settings.py", "import beside_it\nPG_EVENTS_DATABASE_URL = beside_it.url")

    settings = load("deep/app_settings.py", environ={})

    assert settings.database_url == URL
    assert sys.path[0] == str(folder / "deep")


def test_a_module_that_imports_the_settings_file_meets_the_same_module(folder: Path) -> None:
    write(folder / "beside_it.py", "import app_settings\nfound = app_settings.marker")

    settings_of(folder, "marker = object()\nimport beside_it\nassert beside_it.found is marker")


def test_a_file_named_like_a_module_of_python_hides_it_from_nobody(folder: Path) -> None:
    file = write(folder / "json.py", f"PG_EVENTS_DATABASE_URL = {URL!r}")

    load(file, environ={})

    import json

    assert json.loads("1") == 1


def test_the_environment_names_the_settings(folder: Path) -> None:
    file = write(folder / "app_settings.py", f"PG_EVENTS_DATABASE_URL = {URL!r}")

    settings = load(None, environ={"PG_EVENTS_SETTINGS": file})

    assert (settings.database_url, settings.source) == (URL, file)


def test_an_option_wins_over_the_environment(folder: Path) -> None:
    file = write(folder / "app_settings.py", f"PG_EVENTS_DATABASE_URL = {URL!r}")

    settings = load(file, environ={"PG_EVENTS_SETTINGS": "elsewhere", "PG_EVENTS_DATABASE_URL": "elsewhere"})

    assert settings.database_url == URL


def test_the_option_for_the_database_wins_over_the_settings(folder: Path) -> None:
    file = write(folder / "app_settings.py", "PG_EVENTS_DATABASE_URL = 'elsewhere'\nPG_EVENTS_NOTIFY = False")

    settings = load(file, URL, environ={})

    assert (settings.database_url, settings.notify) == (URL, False)


@pytest.mark.parametrize(
    ("option", "environ", "source"),
    [
        (URL, {"PG_EVENTS_DATABASE_URL": "elsewhere"}, "--database-url"),
        (None, {"PG_EVENTS_DATABASE_URL": URL}, "PG_EVENTS_DATABASE_URL"),
    ],
)
def test_a_database_alone_is_enough(option: str | None, environ: dict[str, str], source: str) -> None:
    assert load(None, option, environ) == Settings(database_url=URL, source=source, only_database=True)


def test_no_database_is_needed_for_a_saved_log() -> None:
    assert load(None, environ={}, require_database=False).database_url is None


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PG_EVENTS_SETTINGS", raising=False)
    monkeypatch.setenv("PG_EVENTS_DATABASE_URL", URL)

    assert load(None).database_url == URL


# --- what they say ------------------------------------------------------------------------------------------------


def test_every_constant_has_its_field(folder: Path) -> None:
    settings = settings_of(
        folder,
        "def changed(payload): ...\n"
        "PG_EVENTS_DATA_UPDATE_CALLBACK = 'my_module.function'\n"
        "PG_EVENTS_DB_SCHEMA_UPDATE_CALLBACK = changed\n"
        "PG_EVENTS_INCLUDE = ['public.*', 'shop.*']\n"
        "PG_EVENTS_EXCLUDE = ('public.secret',)\n"
        "PG_EVENTS_INCLUDE_COLUMNS = {'public.users': ['id', 'e*']}\n"
        "PG_EVENTS_EXCLUDE_COLUMNS = {'*': ('password',)}\n"
        "PG_EVENTS_REDACT = {'public.users': {'email': 'hash', 'card': 'mask', 'pin': 'drop'}}\n"
        "PG_EVENTS_WHEN = {'public.orders': 'new.total > 100'}\n"
        "PG_EVENTS_SKIP_UNCHANGED = True\n"
        "PG_EVENTS_CAPTURE_REPLICATED = ['public.orders']\n"
        "PG_EVENTS_ROW_TRIGGERS = False\n"
        "PG_EVENTS_QUERY_TEXT = 100\n"
        "PG_EVENTS_NOTIFY = False\n"
        "PG_EVENTS_MAX_ATTEMPTS = 1\n"
        "PG_EVENTS_RETRY_SECONDS = 0\n"
        "PG_EVENTS_CALLBACK_TIMEOUT_SECONDS = 5\n"
        "PG_EVENTS_ISOLATE = True\n"
        "PG_EVENTS_TRANSACTIONAL = True\n"
        "PG_EVENTS_CONCURRENCY = 8\n",
    )

    assert settings.data_update_callback == "my_module.function"
    assert callable(settings.db_schema_update_callback)
    assert settings.include == ("public.*", "shop.*")
    assert settings.exclude == ("public.secret",)
    assert settings.include_columns == {"public.users": ("id", "e*")}
    assert settings.exclude_columns == {"*": ("password",)}
    assert settings.redact == {"public.users": {"email": "hash", "card": "mask", "pin": "drop"}}
    assert settings.when == {"public.orders": "new.total > 100"}
    assert settings.skip_unchanged == ("*",)
    assert (settings.capture_replicated, settings.row_triggers) == (("public.orders",), ())
    assert (settings.query_characters, settings.notify) == (100, False)
    assert (settings.max_attempts, settings.retry_seconds) == (1, 0.0)
    assert (settings.callback_timeout_seconds, settings.isolate) == (5.0, True)
    assert (settings.transactional, settings.concurrency) == (True, 8)


@pytest.mark.parametrize(
    ("written", "host", "port", "shown"),
    [
        ("9187", "127.0.0.1", 9187, "127.0.0.1:9187"),
        ("'9187'", "127.0.0.1", 9187, "127.0.0.1:9187"),
        ("0", "127.0.0.1", 0, "127.0.0.1:0"),
        ("'0.0.0.0:65535'", "0.0.0.0", 65535, "0.0.0.0:65535"),
        ("'app-1.example:80'", "app-1.example", 80, "app-1.example:80"),
        ("'[::1]:9187'", "::1", 9187, "[::1]:9187"),
    ],
)
def test_an_address_is_a_port_or_a_host_and_a_port(
    folder: Path, written: str, host: str, port: int, shown: str
) -> None:
    address = settings_of(folder, f"PG_EVENTS_METRICS = {written}").metrics

    assert address == (host, port)
    assert str(address) == shown


@pytest.mark.parametrize(("written", "characters"), [("'full'", FULL_QUERY), ("'off'", 0), ("7", 7)])
def test_the_query_is_kept_whole_not_at_all_or_in_part(folder: Path, written: str, characters: int) -> None:
    assert settings_of(folder, f"PG_EVENTS_QUERY_TEXT = {written}").query_characters == characters


@pytest.mark.parametrize(("written", "roles"), [("True", True), ("False", False), ("['app', 'jobs']", ("app", "jobs"))])
def test_own_events_are_those_of_the_worker_or_of_roles(folder: Path, written: str, roles: object) -> None:
    assert settings_of(folder, f"PG_EVENTS_IGNORE_OWN_CHANGES = {written}").ignore_own_changes == roles


def test_none_means_the_default(folder: Path) -> None:
    assert settings_of(folder, "PG_EVENTS_QUERY_TEXT = None").query_characters == 8192


def test_the_password_is_not_in_the_repr() -> None:
    assert "hunter2" not in repr(Settings(database_url=URL))


# --- what is wrong with them --------------------------------------------------------------------------------------


def test_no_database_names_three_ways_to_give_one() -> None:
    text = complaint(None)

    assert all(way in text for way in ("--database-url", "PG_EVENTS_DATABASE_URL", "--settings"))


def test_settings_without_a_database_are_told_what_to_add(folder: Path) -> None:
    text = complaint(write(folder / "app_settings.py", "PG_EVENT_DATABASE_URL = 'x'"))

    assert "sets no PG_EVENTS_DATABASE_URL (it has PG_EVENT_DATABASE_URL)" in text


def test_a_missing_module_is_told_apart(folder: Path) -> None:
    text = complaint("my_module.settings")

    assert "no settings module 'my_module.settings'" in text
    assert str(folder) in text
    assert "--settings path/to/settings.py" in text


def test_a_missing_import_inside_the_settings_is_named_with_file_and_line(folder: Path) -> None:
    file = write(folder / "my_module" / "settings.py", "import os\nimport not_there")

    text = complaint("my_module.settings")

    assert f"cannot be loaded: {file}:2: ModuleNotFoundError: No module named 'not_there'" in text


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("x = 1 / 0", ":1: ZeroDivisionError: division by zero"),
        (f"\nint({URL!r})", ":2: ValueError: "),
        (f"URL = {URL!r}\ndef (", ":2: SyntaxError: "),
        ("import sys\nsys.exit('no')", ":2: SystemExit: no"),
        ("x = '\0'", "cannot contain null bytes"),
    ],
)
def test_settings_that_fail_are_told_with_their_line(folder: Path, source: str, says: str) -> None:
    assert says in complaint(write(folder / "app_settings.py", source))


def test_settings_that_failed_are_read_anew(folder: Path) -> None:
    complaint(write(folder / "app_settings.py", "1 / 0"))

    assert settings_of(folder, "").database_url == URL


def test_an_interrupt_while_settings_load_is_no_usage_error(folder: Path) -> None:
    file = write(folder / "app_settings.py", "raise KeyboardInterrupt")

    with pytest.raises(KeyboardInterrupt):
        load(file, environ={})


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("nowhere/settings.py", "no settings file 'nowhere/settings.py'"),
        ("settings.py", "no settings file 'settings.py'"),
        ("./", "is a folder; pass the file: ./settings.py"),
        ("my-module", "neither a module nor a file"),
        ("..settings", "neither a module nor a file"),
        ("a\0b.py", "cannot be read"),
        ("a\x1b[2J", "neither a module nor a file"),
    ],
)
def test_a_reference_to_nothing_is_told(reference: str, says: str) -> None:
    text = complaint(reference)

    assert says in text
    assert "\x1b" not in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read_is_told(folder: Path) -> None:
    file = write(folder / "app_settings.py", "")
    Path(file).chmod(0)

    assert "cannot be read: Permission denied" in complaint(file)


def test_a_typing_error_gets_a_suggestion(folder: Path) -> None:
    file = write(folder / "app_settings.py", "PG_EVENTS_DATABASE_URI = 'x'")

    assert "unknown setting PG_EVENTS_DATABASE_URI; did you mean PG_EVENTS_DATABASE_URL?" in complaint(file)


def test_a_renamed_setting_is_told_with_its_new_name(folder: Path) -> None:
    file = write(folder / "app_settings.py", "PG_EVENTS_KEEP = '30d'")

    assert complaint(file).endswith("PG_EVENTS_KEEP is now PG_EVENTS_RETENTION")


@pytest.mark.parametrize(
    ("constant", "value", "says"),
    [
        ("DATABASE_URL", f"[{URL!r}]", "must be a string, not list"),
        ("DATA_UPDATE_CALLBACK", "3", "must be 'my_module.function' or the function itself, not int"),
        ("INCLUDE", "'public.*'", "must be a list of patterns such as ['public.*'], not str"),
        ("EXCLUDE", "[1]", "must be a list of patterns"),
        ("INCLUDE_COLUMNS", "['id']", "must be a dict such as {'public.users': ['password_hash']}, not list"),
        ("INCLUDE_COLUMNS", "{'t': 'id'}", "'t' needs a list of columns"),
        ("EXCLUDE_COLUMNS", "{'t': ['a\\0b']}", "'t' needs a list of columns"),
        ("REDACT", "{'public.users.email': 'hash'}", "'public.users.email' needs a dict of columns"),
        ("REDACT", "{'t': {'a': 'hsh'}}", "'a' of 't' must be 'drop', 'mask' or 'hash', not 'hsh'"),
        ("REDACT", "{'t': {'a': ['hash']}}", "not list"),
        ("REDACT", "{1: {'a': 'hash'}}", "must be a dict such as {'public.users': {'email': 'hash'}}"),
        ("WHEN", "{'t': ''}", "'t' needs an SQL condition"),
        ("WHEN", "'new.a > 1'", "must be a dict such as {'public.orders': 'new.total > 100'}, not str"),
        ("WHEN", "{'t': '\\ud800'}", "'t' needs an SQL condition"),
        ("SKIP_UNCHANGED", "'yes'", "must be True, False or a list of patterns such as ['public.*'], not 'yes'"),
        ("SKIP_UNCHANGED", "[1]", "must be a list of patterns"),
        ("QUERY_TEXT", "0", "must be 'full', 'off' or a number of characters above 0, not 0"),
        ("QUERY_TEXT", "True", "not True"),
        ("QUERY_TEXT", "'all'", "not 'all'"),
        ("NOTIFY", "'yes'", "must be True or False, not 'yes'"),
        ("MAX_ATTEMPTS", "0", "must be a whole number of at least 1, not 0"),
        ("RETRY_SECONDS", "-1", "must be a number of seconds, 0 or more, not -1"),
        ("RETRY_SECONDS", "float('nan')", "not nan"),
        ("RETRY_SECONDS", "'1s'", "not '1s'"),
        ("CALLBACK_TIMEOUT_SECONDS", "0", "must be a number of seconds above 0, not 0; leave it out for no limit"),
        ("CALLBACK_TIMEOUT_SECONDS", "True", "must be a number of seconds above 0, not True"),
        ("CONCURRENCY", "0", "must be a whole number of at least 1, not 0"),
        ("ISOLATE", "1", "must be True or False, not 1"),
        ("LOG_FORMAT", "'xml'", "must be one of 'text', 'json', not 'xml'"),
        ("METRICS", "True", "must be a port or HOST:PORT such as 9187 or 0.0.0.0:9187, not True"),
        ("METRICS", "'::1:9187'", "not '::1:9187'"),
        ("METRICS", "65536", "not 65536"),
        ("METRICS", "[9187]", "not list"),
        ("STALLED_SECONDS", "0.5", "must be a number of seconds, 1 or more, not 0.5"),
    ],
)
def test_a_value_of_the_wrong_type_is_told(folder: Path, constant: str, value: str, says: str) -> None:
    text = complaint(write(folder / "app_settings.py", f"PG_EVENTS_{constant} = {value}"))

    assert f"PG_EVENTS_{constant}" in text
    assert says in text


def test_a_directory_that_vanished_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> Path:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "cwd", gone)

    assert "the current directory no longer exists" in complaint(None)


def test_what_is_kept_is_said_with_units(folder: Path) -> None:
    found = settings_of(
        folder, "PG_EVENTS_RETENTION = '36h'\nPG_EVENTS_RETENTION_SIZE = '1.5 gb'\nPG_EVENTS_RETAIN_UNREAD = False"
    )

    assert found.retention == timedelta(hours=36)
    assert found.retention_bytes == 1_500_000_000
    assert found.retain_unread is False


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("PG_EVENTS_RETENTION = 30", "an age: a number and s, m, h, d or w, such as 30d, not 30"),
        ("PG_EVENTS_RETENTION = '9999999w'", "less than a thousand years"),
        ("PG_EVENTS_RETENTION_SIZE = '10'", "a size: a number and MB, GB or TB, such as 10GB, not '10'"),
        ("PG_EVENTS_RETENTION_SIZE = '1kB'", "at least 1MB"),
        ("PG_EVENTS_RETAIN_UNREAD = 'no'", "True or False, not 'no'"),
    ],
)
def test_what_is_kept_must_be_readable(folder: Path, line: str, says: str) -> None:
    assert says in complaint(write(folder / "app_settings.py", f"{line}\n"))
