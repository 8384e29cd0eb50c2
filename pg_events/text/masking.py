"""Masks secrets in untrusted text: passwords in URLs and connection strings, and values after names of secrets.

A name of a secret contains one of a few words (`db_password`, `SECRET_KEY`, `x-api-key`). The following value is masked to
its end: a quoted string, a bracketed structure, or a word. It masks rather too much than too little. Pure, and linear in the text.
"""

import re
from functools import cache
from typing import Final

MASK: Final = "***"
"""Replacement of a secret."""

# Bounded, so that the time is linear in the text, not quadratic.
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
"""Prefix of a value, as in `b'…'`, `SecretStr('…')`, `<Token …>`."""
_QUOTE: Final = re.compile(r"""\\{0,8}['"]""")
_BARE: Final = re.compile(r"[^\s&]{1,2000}")
_NOTHING: Final = re.compile(r"(?:None|null)[,)\]}]{0,100}")
_LINE: Final = re.compile(r"[^\r\n&'\"]{1,2000}")
_STRUCTURE: Final = re.compile(r"""[(\[{]|[)\]}]|\\{0,8}['"]""")
_VALUE_CHARACTERS: Final = 4_000
"""Maximum length of a structure that is masked to its end."""


def is_secret(name: str) -> bool:
    """Return True if the name of a variable, a key or a column denotes a secret."""
    return _NAME.search(name) is not None


def without_passwords(text: str) -> str:
    """Mask possible secrets: passwords of URLs and connection strings, and values after names of secrets.

    For text that may quote user input, if the secret itself is unknown. It masks rather too much than too little: in a URL
    everything from the first colon to the last `@` of the word.
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
    """Mask in the quotes of the value, if any."""
    if not value or _NOTHING.fullmatch(value):
        return value
    quote = _QUOTE.match(value)
    is_whole = quote is not None and len(value) >= 2 * len(quote[0]) and value.endswith(quote[0])
    return f"{quote[0]}{MASK}{quote[0]}" if quote is not None and is_whole else MASK


def _end_of_value(text: str, begin: int, *, is_line: bool) -> int:
    """End of the value that begins at the position."""
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
    """Position after the closing quote, or the end of the line. A doubled quote is part of the string."""
    found = _string(quote[0]).match(text, quote.end())
    if found is not None:
        return found.end()
    end = text.find("\n", quote.end())
    return len(text) if end < 0 else end


@cache
def _string(mark: str) -> re.Pattern[str]:
    """Pattern of the rest of a string; in a nested string, backslashes may precede its closing quote."""
    body = rf"[^\\{mark}]|\\.|{mark}{mark}" if len(mark) == 1 else rf"(?!{re.escape(mark)})."
    return re.compile(rf"(?:{body}){{0,2000}}{re.escape(mark)}", re.DOTALL)


def _end_of_structure(text: str, begin: int) -> int:
    """Position after the matching closing bracket, ignoring brackets in strings."""
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
