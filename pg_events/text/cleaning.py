"""Cleans untrusted text for display: no control characters, no broken lines, no passwords.

Cells, queries, names and error messages are untrusted. Everything that reaches a terminal passes through here first.
"""

import os
import re
import sysconfig
import traceback
from pathlib import Path
from typing import Final

from pg_events.text.hints import hint
from pg_events.text.masking import without_passwords

_UNSAFE: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_UNSAFE_IN_LINES: Final = re.compile(_UNSAFE.pattern.replace(r"\x00-\x1f", r"\x00-\x08\x0b-\x1f"))


class TooDeep(str):
    """Text of a JSON value that is nested too deeply for Python."""

    __slots__ = ()


def clean(text: str, keep_newlines: bool = False) -> str:
    """Replace characters that a terminal interprets with visible ones: `␛` for escape, `\\u{202e}` for a bidi override.

    Controls (C0, DEL, C1), bidi controls, line and paragraph separators; a lone surrogate becomes U+FFFD, so the
    result can be encoded. `keep_newlines` lets tab and line feed pass, nothing else.
    """
    return (_UNSAFE_IN_LINES if keep_newlines else _UNSAFE).sub(_visible, text)


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)  # the Control Pictures have the order of the controls
    if code == 0x7F:
        return "␡"
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return f"\\u{{{code:x}}}"


def one_line(text: str) -> str:
    """Clean text with every run of white space, including line breaks, replaced by one blank."""
    return clean(" ".join(text.split()))


def counted(number: int, noun: str) -> str:
    """Format a count with its noun: `1 table`, `1,200 tables`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def shorten(text: str, width: int) -> str:
    """Cut a text to `width` characters, the last one `…` if it was cut. Characters, not terminal columns."""
    if len(text) <= width:
        return text
    return text[: width - 1] + "…" if width > 0 else ""


def describe_error(error: BaseException) -> str:
    """Describe an error in user code in one line: `path/to/file.py:3: ValueError: message`.

    The place is the innermost one outside the standard library and installed packages, if there is one. Passwords
    are masked.
    """
    kind = type(error).__name__
    if isinstance(error, SyntaxError):
        # Its text quotes the source line; `msg` does not.
        return shorten(without_passwords(one_line(f"{error.filename}:{error.lineno}: {kind}: {error.msg}")), 500)
    says = one_line(message(error)[:4000]) + hint(error)
    line = without_passwords(f"{kind}: {says}" if says else kind)
    place = _place(error)
    return shorten(f"{one_line(place)}: {line}" if place else line, 500)


def message(error: BaseException) -> str:
    """Return `str(error)`, or a placeholder if that raises."""
    try:
        return str(error)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - a stranger's __str__ may do anything
        return "<its text cannot be shown>"


_INSTALLED: Final = tuple(
    {sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_HERE: Final = str(Path(__file__).parents[1]) + os.sep


def _place(error: BaseException) -> str | None:
    """`file:line` of the innermost frame of user code, else of the innermost frame."""
    frames = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith(("<frozen ", _HERE))
    ]
    own = [frame for frame in frames if not frame[0].startswith(_INSTALLED)]
    file, line = (own or frames or [("", 0)])[-1]
    return f"{file}:{line}" if file else None
