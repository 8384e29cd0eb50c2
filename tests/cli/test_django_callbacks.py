"""A worker whose callbacks use Django: hints where it is not set up, and connections that survive what breaks them."""

import json
from pathlib import Path

import psycopg
import pytest

pytest.importorskip("django")

# --- not set up ---------------------------------------------------------------------------------------------------

MODELS = "from django.contrib.contenttypes.models import ContentType\ndef tell(payload): ...\n"
UNREADY = "from django.conf import settings\nsettings.configure(INSTALLED_APPS=['django.contrib.contenttypes'])\n"
REMEDY = "before it imports models a module calls django.setup(), and DJANGO_SETTINGS_MODULE names the settings of the project"


@pytest.mark.parametrize(
    ("code", "kind"), [(MODELS, "ImproperlyConfigured"), (UNREADY + MODELS, "AppRegistryNotReady")]
)
def test_a_module_that_needs_django_gets_the_remedy_in_the_line(
    code: str, kind: str, url: str, run, tmp_path: Path
) -> None:
    (tmp_path / "hooks.py").write_text(code)
    (tmp_path / "settings.py").write_text(
        f"PG_EVENTS_DATABASE_URL = {url!r}\nPG_EVENTS_DATA_UPDATE_CALLBACK = 'hooks.tell'\n"
    )

    answer = run("worker", "--once", "--settings", "settings.py")

    assert answer.code == 2
    assert kind in answer.line
    assert REMEDY in answer.line


def test_settings_that_need_django_get_the_remedy_too(run, tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text(MODELS)

    answer = run("worker", "--once", "--settings", "settings.py")

    assert answer.code == 2
    assert REMEDY in answer.line


def test_an_import_of_models_within_a_callback_fails_with_the_remedy(url: str, run, execute, tmp_path: Path) -> None:
    (tmp_path / "hooks.py").write_text("def tell(payload):\n    import django.contrib.contenttypes.models\n")
    (tmp_path / "settings.py").write_text(
        f"PG_EVENTS_DATABASE_URL = {url!r}\nPG_EVENTS_DATA_UPDATE_CALLBACK = 'hooks.tell'\nPG_EVENTS_MAX_ATTEMPTS = 1\n"
    )
    execute(url, "insert into note values (1)")

    answer = run("worker", "--once", "--from", "oldest", "--settings", "settings.py")

    assert answer.code == 1
    assert REMEDY in answer.err


# --- connections --------------------------------------------------------------------------------------------------

HOOKS = """
import json, os
import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": None,
                           **json.loads(os.environ["TEST_DATABASE"])}},
    INSTALLED_APPS=["django.contrib.contenttypes"],
)
django.setup()

import psycopg
from django.contrib.contenttypes.models import ContentType
from django.db import connection

def backend():
    ContentType.objects.count()
    return connection.connection.info.backend_pid

def told(payload, pid):
    number = json.loads(payload)["new_data"]["id"]
    print("row", number, "of", pid)
    if number == 1:
        with psycopg.connect(os.environ["TEST_URL"], autocommit=True) as other:
            other.execute("select pg_terminate_backend(%s, 10000)", [pid])

def plain(payload):
    told(payload, backend())

async def awaited(payload):
    from asgiref.sync import sync_to_async
    await ContentType.objects.acount()
    told(payload, await sync_to_async(backend)())
"""


@pytest.mark.parametrize(
    ("function", "options"), [("plain", ()), ("awaited", ()), ("plain", ("--isolate",)), ("awaited", ("concurrent",))]
)
def test_a_callbacks_connection_that_was_lost_costs_an_attempt_and_no_more(
    function: str, options: tuple[str, ...], url: str, run, execute, tmp_path: Path
) -> None:
    execute(
        url,
        "create table django_content_type (id serial primary key, app_label text, model text)",
        *(f"insert into note values ({number})" for number in (1, 2, 3)),
    )
    info = psycopg.conninfo.conninfo_to_dict(url)
    database = {
        "NAME": info["dbname"], "USER": info.get("user", ""), "HOST": info.get("host", ""), "PORT": str(info.get("port", "")),
        "PASSWORD": info.get("password", ""),
    }  # fmt: skip
    (tmp_path / "hooks.py").write_text(HOOKS)
    (tmp_path / "settings.py").write_text(
        f"PG_EVENTS_DATABASE_URL = {url!r}\nPG_EVENTS_DATA_UPDATE_CALLBACK = 'hooks.{function}'\n"
        "PG_EVENTS_MAX_ATTEMPTS = 2\nPG_EVENTS_RETRY_SECONDS = 0\nPG_EVENTS_INCLUDE = ['note']\n"
        + "PG_EVENTS_CONCURRENCY = 2\n"
        * ("concurrent" in options)
    )

    answer = run(
        "worker", "--once", "--from", "oldest", "--settings", "settings.py", *(one for one in options if one[0] == "-"),
        environment={"TEST_DATABASE": json.dumps(database), "TEST_URL": url},
    )  # fmt: skip

    assert answer.code == 0, answer.err
    assert "delivered 3, failed 0, retried" in answer.err
    rows = [line.split() for line in answer.out.splitlines() if line.startswith("row")]
    assert sorted(row[1] for row in rows) == ["1", "2", "3"]
    assert len({row[3] for row in rows}) == 2  # one until it was lost, and one afterwards
