"""Django: a project that is written to a directory and run by `manage.py`, with real users, views and databases."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from pg_events.demo.server import Server
from tests.conftest import GivenServer, fresh_database

MANAGE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
from django.core.management import execute_from_command_line
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
"""

SETTINGS = """
import json, os

DATABASES = json.loads(os.environ["TEST_DATABASES"])
INSTALLED_APPS = [
    "django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "rest_framework", "shop",
    "pg_events.contrib.django.apps.BuildAfterMigrate",
]
MIDDLEWARE = [
    "pg_events.contrib.django.middleware.ContextMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ROOT_URLCONF = "shop.urls"
SECRET_KEY = "test"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PG_EVENTS_EXCLUDE = ["public.django_*", "public.auth_permission"]
PG_EVENTS_DATA_UPDATE_CALLBACK = "shop.events.changed"
"""

MODELS = """
from django.db import models

class Note(models.Model):
    body = models.TextField()
"""

URLS = """
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpResponse
from django.urls import path
from rest_framework.authentication import BaseAuthentication
from rest_framework.views import APIView

from shop.models import Note

def note(request, body):
    Note.objects.create(body=body)
    return HttpResponse()

def atomic(request, body):
    with transaction.atomic():
        Note.objects.create(body=body)
        try:
            with transaction.atomic():
                Note.objects.create(body="never")
                raise KeyError
        except KeyError:
            pass
        Note.objects.filter(body=body).update(body=body + "!")
    return HttpResponse()

def other(request, body):
    Note.objects.using("other").create(body=body)
    Note.objects.create(body=body)
    return HttpResponse()

def read(request):
    list(Note.objects.select_related())
    return HttpResponse()

@transaction.non_atomic_requests
@transaction.non_atomic_requests("other")
async def awaited(request, body):
    await Note.objects.acreate(body=body)
    return HttpResponse()

class Header(BaseAuthentication):
    def authenticate(self, request):
        return User.objects.get(username=request.headers["X-User"]), None

class Rest(APIView):
    authentication_classes = [Header]

    def post(self, request, body):
        Note.objects.create(body=body)
        return HttpResponse()

urlpatterns = [
    path("note/<body>", note), path("atomic/<body>", atomic), path("other/<body>", other), path("read", read),
    path("awaited/<body>", awaited), path("rest/<body>", Rest.as_view()),
]
"""

EVENTS = """
import json
from shop.models import Note

def changed(payload):
    event = json.loads(payload)
    print("called", event["table_name"], Note.objects.count() > 0)
"""

COMMAND = """
from django.core.management.base import BaseCommand
from shop.models import Note

class Command(BaseCommand):
    def handle(self, *args, **options):
        Note.objects.create(body="by command")
"""

REQUESTS = """
import asyncio, os, threading
os.environ["DJANGO_SETTINGS_MODULE"] = "proj.settings"
import django
django.setup()
from django.contrib.auth.models import User
from django.db import connection, connections
from django.test import AsyncClient, Client

ann, bob = (User.objects.get_or_create(username=name)[0] for name in ("ann", "bob"))

client = Client()
client.get("/read", headers={"X-Request-ID": "read"})
client.get("/note/nobody", headers={"X-Request-ID": "r-1"})
client.force_login(ann)
client.get("/note/ann", headers={"X-Request-ID": "r-2"})
client.get("/atomic/ann", headers={"X-Request-ID": "r-3"})
client.get("/other/ann", headers={"X-Request-ID": "r-4"})
client.post("/rest/bob", headers={"X-Request-ID": "r-5", "X-User": "bob"})

async def ask():
    asynchronous = AsyncClient()
    await asynchronous.aforce_login(bob)
    await asyncio.gather(*(
        asynchronous.get(f"/{path}/async", headers={"X-Request-ID": f"r-{path}"}) for path in ("note", "awaited")
    ))

asyncio.run(ask())

def many(user):
    own = Client()
    own.force_login(user)
    for number in range(10):
        own.get(f"/note/{user.username}-{number}", headers={"X-Request-ID": f"{user.username}-{number}"})
    connections.close_all()

threads = [threading.Thread(target=many, args=(user,)) for user in (ann, bob)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()

from shop.models import Note
Note.objects.create(body="without a request")
print(ann.pk, bob.pk)
"""

Manage = Callable[..., subprocess.CompletedProcess[str]]


def settings_of(url: str) -> dict[str, Any]:
    parts = conninfo_to_dict(url)
    return {
        "ENGINE": "django.db.backends.postgresql", "NAME": parts["dbname"], "USER": parts.get("user", ""),
        "HOST": parts.get("host", ""), "PORT": str(parts.get("port", "")), "PASSWORD": parts.get("password", ""),
    }  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "manage.py": MANAGE, "proj/__init__.py": "", "proj/settings.py": SETTINGS, "shop/__init__.py": "", "shop/models.py": MODELS,
        "shop/urls.py": URLS, "shop/events.py": EVENTS, "shop/management/__init__.py": "",
        "shop/management/commands/__init__.py": "", "shop/management/commands/restock.py": COMMAND, "ask.py": REQUESTS,
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


WITHOUT_PSYCOPG_3 = (
    "import sys; sys.modules['psycopg'] = None; import runpy; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
)


def runner(project: Path, databases: dict[str, Any], driver: str = "psycopg") -> Manage:
    """`run("manage.py", "migrate")` in the project."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, *(["-c", WITHOUT_PSYCOPG_3] if driver == "psycopg2" else [])]
        return subprocess.run(
            [*program, *arguments], cwd=project, text=True, capture_output=True,
            env=os.environ | {"TEST_DATABASES": json.dumps(databases)} | environment,
        )  # fmt: skip

    return run


def notes(url: str) -> dict[str, list[Any]]:
    """Body of a note -> the contexts of its events."""
    found: dict[str, list[Any]] = {}
    with psycopg.connect(url) as connection:
        for body, context in connection.execute(
            "select new_data ->> 'body', context from pgevents.log where table_name = 'shop_note' and kind <> 'S' order by id"
        ):
            found.setdefault(body, []).append(json.loads(context) if context else None)
    return found


def request(name: str, method: str, path: str, route: str, user: int | None = None) -> dict[str, Any]:
    known = {"request": name, "method": method, "path": path, "route": route}
    return known if user is None else {**known, "user": user}


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
@pytest.mark.parametrize("options", [{}, {"ATOMIC_REQUESTS": True, "CONN_MAX_AGE": None}], ids=["autocommit", "atomic"])
def test_each_event_has_the_context_of_its_request(
    project: Path, server: Server | GivenServer, database_url: str, driver: str, options: dict[str, Any]
) -> None:
    pytest.importorskip(driver)
    with fresh_database(server) as other:
        databases = {"default": settings_of(database_url) | options, "other": settings_of(other) | options}
        # The build needs psycopg 3, which those have who have pg_events; only Django's driver is another.
        for alias in databases:
            migrated = runner(project, databases)("manage.py", "migrate", "--run-syncdb", "--database", alias)
            assert migrated.returncode == 0, migrated.stderr
        log_statements(database_url)

        asked = runner(project, databases, driver)("ask.py")

        assert asked.returncode == 0, asked.stderr
        ann, bob = map(int, asked.stdout.split())
        found = notes(database_url)
        assert notes(other) == {"ann": [request("r-4", "GET", "/other/ann", "other/<body>", ann)]}
    assert found == {
        "nobody": [request("r-1", "GET", "/note/nobody", "note/<body>")],
        "ann": [
            request("r-2", "GET", "/note/ann", "note/<body>", ann), request("r-3", "GET", "/atomic/ann", "atomic/<body>", ann),
            request("r-4", "GET", "/other/ann", "other/<body>", ann),
        ],
        "ann!": [request("r-3", "GET", "/atomic/ann", "atomic/<body>", ann)] * 2,
        "bob": [request("r-5", "POST", "/rest/bob", "rest/<body>", bob)],
        "async": found["async"],
        **{
            f"{name}-{n}": [request(f"{name}-{n}", "GET", f"/note/{name}-{n}", "note/<body>", user)]
            for name, user in (("ann", ann), ("bob", bob)) for n in range(10)
        },
        "without a request": [None],
    }  # fmt: skip
    assert sorted(found["async"], key=json.dumps) == sorted(
        (request(f"r-{path}", "GET", f"/{path}/async", f"{path}/<body>", bob) for path in ("note", "awaited")),
        key=json.dumps,
    )
    if isinstance(server, Server):
        sent = [line for line in server.log_text().splitlines() if "set_config('pgevents.context'" in line]
        assert sent
        assert not [line for line in sent if '"read"' in line]


def log_statements(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("alter database {} set log_statement = 'all'").format(name))


def test_manage_py_has_the_commands_of_pg_events(project: Path, database_url: str) -> None:
    run = runner(
        project,
        {"default": settings_of(database_url), "lite": {"ENGINE": "django.db.backends.sqlite3", "NAME": "x.db"}},
    )

    migrated = run("manage.py", "migrate", "--run-syncdb")
    status = run("manage.py", "pg_events", "status", "--json")
    restocked = run("manage.py", "restock")
    delivered = run("manage.py", "pg_events", "worker", "--once", "--from", "oldest")

    assert "shop_note" in str([table["name"] for table in json.loads(status.stdout)["tables"]])
    assert migrated.returncode == status.returncode == restocked.returncode == 0, migrated.stderr + restocked.stderr
    assert notes(database_url) == {"by command": [{"command": "restock"}]}
    assert (delivered.returncode, delivered.stderr.count("failed 0")) == (0, 1), delivered.stderr
    assert "called shop_note True" in delivered.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("pg_events", "stats"), 2, "there is no command 'stats'; did you mean 'status'?"),
        (("pg_events", "status", "--database", "nowhere"), 2, "there is no database 'nowhere' in DATABASES"),
        (("pg_events", "status", "--database=lite"), 2, "DATABASES['lite'] is 'django.db.backends.sqlite3', not PostgreSQL"),
        (("pg_events", "status"), 1, "no pg_events in this database"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(
    project: Path, database_url: str, arguments: tuple[str, ...], code: int, line: str
) -> None:
    run = runner(
        project,
        {"default": settings_of(database_url), "lite": {"ENGINE": "django.db.backends.sqlite3", "NAME": "x.db"}},
    )

    answer = run("manage.py", *arguments)

    assert answer.returncode == code
    assert line in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_the_settings_of_a_project_name_the_database(project: Path, built_database_url: str) -> None:
    run = runner(project, {"default": settings_of(built_database_url)})

    answer = run("-m", "pg_events", "status", "--settings", "proj.settings", "--json")

    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["tables"] == []


def test_the_documented_settings_and_commands_work(project: Path, database_url: str) -> None:
    page = (Path(__file__).parents[2] / "pg_events/docs/django.md").read_text("utf-8")
    code = re.findall(r"^```python\n(# proj/settings.py\n.*?)^```", page, re.DOTALL | re.MULTILINE)[0]
    commands = re.findall(r"^python (manage.py [a-z_ ]+)", page, re.MULTILINE)
    settings = project / "proj/settings.py"
    text = re.sub(r"(?m)^ *\"pg_events.*\n|^PG_EVENTS_.*\n", "", settings.read_text())
    settings.write_text(text + code)
    run = runner(project, {"default": settings_of(database_url)})
    (project / "shop/migrations").mkdir()
    (project / "shop/migrations/__init__.py").touch()
    assert run("manage.py", "makemigrations", "shop").returncode == 0

    answers = [
        run(*command.split(), *(["--once", "--from", "oldest"] if "worker" in command else [])) for command in commands
    ]
    restocked = run("manage.py", "restock")

    assert len(commands) == 3
    assert [answer.returncode for answer in [*answers, restocked]] == [0] * 4, [answer.stderr for answer in answers]
    assert notes(database_url) == {"by command": [{"command": "restock"}]}
