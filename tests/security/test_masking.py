"""Secrets in messages, tracebacks and local variables of kept runs are masked by the name that stands before them."""

import dataclasses
import json
import time
from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from pg_events.callbacks.callback import Failure, describe_failure
from pg_events.text.masking import is_secret, without_passwords

NAMES = [
    "password", "db_password", "PASSWORD", "passwd", "passphrase", "pass", "client_secret", "SECRET_KEY", "api_key", "API-KEY",
    "x-api-key", "apiKey", "accessKey", "auth_token", "token", "accessToken", "credentials", "Authorization",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "form",
    [
        "{}: hunter2",
        "{} = hunter2 and more",
        "{}=hunter2",
        "{}: 'hunter2 hunter2'",
        "'{}': 'hunter2'",
        "'{}': b'hunter2'",
        "'{}': \"it's hunter2\"",
        "'{}': 'it\\'s hunter2'",
        '{{"{}": "hunter2", "b": 1}}',
        '"{{\\"{}\\": \\"hunter2 hunter2\\"}}"',
        "{}='hunter2''hunter2' user=x",
        "Config(user='x', {}='hunter2', port=1)",
        "Config({}=SecretStr('hunter2'), port=1)",
        "Config({}=['hunter2', ('hunter2', ')hunter2')], port=1)",
        "'{}': {{'one': 'hunter2', 'two': ['hunter2']}}, 'b': 1",
        "[('{}', 'hunter2'), ('b', 'c')]",
        "[(b'{}', b'hunter2')]",
        "<Config {}=hunter2>",
        "{}: 'hunter2",
        "{}:\n    hunter2\n",
        "{}: '-----BEGIN\nhunter2\n-----END'",
    ],
)
def test_a_value_behind_a_telling_name_is_masked(name: str, form: str) -> None:
    masked = without_passwords(form.format(name))

    assert "hunter2" not in masked
    assert name in masked
    assert "***" in masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer hunter2", "Authorization: ***"),
        ("{'Authorization': 'Basic hunter2', 'a': 'b'}", "{'Authorization': '***', 'a': 'b'}"),
        ("alter role x PASSWORD 'hunter2' valid", "alter role x PASSWORD '***' valid"),
        ("Config(token=Token('a', 'b'), port=1)", "Config(token=***, port=1)"),
        ("{'password': None, 'b': 1}", "{'password': None, 'b': 1}"),
        ("PGPASSWORD=hunter2 psql", "PGPASSWORD=*** psql"),
        ("?token=hunter2&page=2", "?token=***&page=2"),
    ],
)
def test_what_follows_the_value_stays(text: str, masked: str) -> None:
    assert without_passwords(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "KeyError: 'id'",
        "TokenError: expired",
        'duplicate key value violates unique constraint "users_email_key"\nDETAIL:  Key (email)=(a@b.c) already exists.',
        "if password is None:",
        "connect(password)",
        "monkey: 3, author: x",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert without_passwords(text) == text


@dataclasses.dataclass
class Config:
    user: str
    db_password: str


class Slow:
    def __repr__(self) -> str:
        return "Slow(" + "x" * 90 + ", password='" + "hunter2" * 20 + "')"


Login = namedtuple("Login", "user token")

VALUES: list[object] = [
    {"password": "hunter2"},
    {b"password": b"hunter2"},
    {"a": {"b": {"secret_key": ["hunter2", "hunter2"]}}},
    [{"token": "hunter2"}],
    ({"token": ("hunter2",)},),
    OrderedDict(password="hunter2"),
    defaultdict(str, password="hunter2"),
    Config("x", "hunter2"),
    [Config("x", "hunter2")],
    Login("x", "hunter2"),
    SimpleNamespace(api_key="hunter2"),
    Slow(),
    json.dumps({"password": "hunter2"}),
    json.dumps(json.dumps({"password": "hunter2"})),
    "y" * 85 + ' "password": "' + "hunter2" * 10 + '"',
    {"x" * 120 + "_password": "hunter2"},
    {"password": "hunter2" * 100},
    [("Authorization", "Bearer hunter2")],
]


def failure(function: Callable[[], object], with_locals: bool = True) -> Failure:
    try:
        function()
    except Exception as error:
        return describe_failure(error, with_locals=with_locals)
    raise AssertionError


@pytest.mark.parametrize("value", VALUES, ids=[str(number) for number in range(len(VALUES))])
def test_local_variables_hold_no_secrets(value: object) -> None:
    def broken() -> None:
        config = value
        raise ValueError(type(config).__name__)

    told = failure(broken)

    assert "config = " in told.traceback
    assert "unter" not in told.traceback


def test_a_variable_with_a_telling_name_is_masked_whole() -> None:
    def broken() -> None:
        key_credential = ["hunter2", "hunter2"]
        raise ValueError(len(key_credential))

    traceback = failure(broken).traceback

    assert "key_credential = ***" in traceback


@pytest.mark.parametrize("value", VALUES, ids=[str(number) for number in range(len(VALUES))])
def test_a_message_that_quotes_a_value_holds_no_secrets(value: object) -> None:
    def broken() -> None:
        raise ValueError(f"unusable: {value!r}")

    told = failure(broken, with_locals=False)

    assert "unter" not in told.message
    assert "unter" not in told.traceback


def test_names_that_tell_nothing_are_shown() -> None:
    def broken() -> None:
        order = {"id": 7, "lines": [1, 2], "note": "fine"}
        raise ValueError(len(order))

    assert "order = {'id': 7, 'lines': [1, 2], 'note': 'fine'}" in failure(broken).traceback
    assert not is_secret("author")


@pytest.mark.parametrize(
    "unit",
    [
        "password=",
        "password='",
        "password=(",
        "'password', ",
        'password="\n',
        "password='\npassword=\"\n",
        "pass",
        "a_key ",
        "\\'token",
    ],
)
def test_masking_takes_no_quadratic_time(unit: str) -> None:
    text = unit * (100_000 // len(unit))
    before = time.process_time()

    without_passwords(text)

    assert time.process_time() - before < 5
