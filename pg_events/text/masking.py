"""Secrets in text that others wrote: passwords in URLs and connection strings, and values that stand behind a telling name.

A name tells when it holds one of a few words (`db_password`, `SECRET_KEY`, `x-api-key`). What follows it is masked to the end
of the value: a quoted string, a bracketed structure, or a word. Rather too much than too little. Pure, and linear in the text.
"""

import re
from functools import cache
from typing import Final

MASK: Final = "***"
"""What stands where a secret was."""

# Bounded, so that the time grows with the text and not with its square.
_URL_PASSWORD: Final = re.compile(
    r"(\b[a-z][a-z0-9+.-]{0,20}://[^:/?#\s@]{0,200}):(?:\S{0,2000}@|[^'\"/\r\n]{0,500}@)", re.IGNORECASE
)

_WORDS: Final = r"pass|pwd|secret|[_-]key|apikey|(?:api|access|private|signing)key|token|credential|authorization"
_NAME: Final = re.compile(_WORDS, re.IGNORECASE)
_NAMED: Final = re.compile(
    rf"""
    (?: {_WORDS} ) [\w-]{{0,60}} (?<! error ) (?<! exception )
    (?:
        (?P<quote> \\{{0,8}}['"] )? \s{{0,20}} (?: = > | := | [=:] ) \s{{0,100}}  # name=value, name: value, 'name': value
      | (?<= word|sswd ) \s{{1,20}} (?= \\{{0,8}}['"] )                                # PASSWORD 'value'
      | (?P<pair> \\{{0,8}}['"] ) \s{{0,20}} , \s{{0,20}}                          # ('name', 'value')
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_IS_AUTHORIZATION: Final = re.compile(r"authorization", re.IGNORECASE)
_PREFIX: Final = re.compile(r"[A-Za-z_][\w.]{0,100}(?=[(\[{<'\"])")
"""Of `b'…'`, `SecretStr('…')`, `<Token …>`."""
_QUOTE: Final = re.compile(r"""\\{0,8}['"]""")
_BARE: Final = re.compile(r"[^\s&]{1,2000}")
_NOTHING: Final = re.compile(r"(?:None|null)[,)\]}]{0,100}")
_LINE: Final = re.compile(r"[^\r\n&'\"]{1,2000}")
_STRUCTURE: Final = re.compile(r"""[(\[{]|[)\]}]|\\{0,8}['"]""")
_VALUE_CHARACTERS: Final = 4_000
"""A structure is masked up to its end, or so far."""


def is_secret(name: str) -> bool:
    """Whether the name of a variable, a key or a column says that its value is a secret."""
    return _NAME.search(name) is not None


def without_passwords(text: str) -> str:
    """Mask what looks like a secret: passwords of URLs and connection strings, and values with a telling name.

    For text that may quote what a user wrote, when the secret itself is not known. Rather too much than too little: in a URL
    everything from the first colon to the word's last `@` goes.
    """
    text = _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    parts: list[str] = []
    position = 0
    while (match := _NAMED.search(text, position)) is not None:
        begin = match.end()
        end = _end_of_value(text, begin, is_line=_IS_AUTHORIZATION.match(match[0]) is not None)
        parts += [text[position:begin], _masked(text[begin:end])]
        position = end
    parts.append(text[position:])
    return "".join(parts)


def _masked(value: str) -> str:
    """The mask, in the quotes of the value if it has any."""
    if not value or _NOTHING.fullmatch(value):
        return value
    quote = _QUOTE.match(value)
    is_whole = quote is not None and len(value) >= 2 * len(quote[0]) and value.endswith(quote[0])
    return f"{quote[0]}{MASK}{quote[0]}" if quote is not None and is_whole else MASK


def _end_of_value(text: str, begin: int, *, is_line: bool) -> int:
    """Where the value that begins there ends."""
    prefix = _PREFIX.match(text, begin)
    start = prefix.end() if prefix is not None else begin
    quote = _QUOTE.match(text, start)
    if quote is not None:
        return _end_of_string(text, quote)
    if text[start : start + 1] in ("(", "[", "{"):
        return _end_of_structure(text, start)
    bare = (_LINE if is_line else _BARE).match(text, begin)
    return bare.end() if bare is not None else begin


def _end_of_string(text: str, quote: re.Match[str]) -> int:
    """Behind the closing quote. A quote that is written twice is part of the string; one that is missing is the line's end."""
    found = _string(quote[0]).match(text, quote.end())
    if found is not None:
        return found.end()
    end = text.find("\n", quote.end())
    return len(text) if end < 0 else end


@cache
def _string(mark: str) -> re.Pattern[str]:
    """The rest of a string up to its closing mark, which may have backslashes in front in a string inside another."""
    body = rf"[^\\{mark}]|\\.|{mark}{mark}" if len(mark) == 1 else rf"(?!{re.escape(mark)})."
    return re.compile(rf"(?:{body}){{0,2000}}{re.escape(mark)}", re.DOTALL)


def _end_of_structure(text: str, begin: int) -> int:
    """Behind the bracket that closes the one that begins there; strings in it are not looked into."""
    depth, position = 0, begin
    limit = min(len(text), begin + _VALUE_CHARACTERS)
    while (mark := _STRUCTURE.search(text, position, limit)) is not None:
        if mark[0] in "([{":
            depth, position = depth + 1, mark.end()
        elif mark[0] in ")]}":
            depth, position = depth - 1, mark.end()
            if not depth:
                return position
        else:
            position = _end_of_string(text, mark)
    return max(position, limit)
