"""Signatures of the user's functions."""

import inspect
import sys
from collections.abc import Callable


def signature(function: Callable[..., object]) -> inspect.Signature:
    """Signature of a function, without evaluating its annotations.

    Some names in annotations exist for type checkers only; from Python 3.14 on they would raise a `NameError`.
    """
    if sys.version_info >= (3, 14):
        from annotationlib import Format

        return inspect.signature(function, annotation_format=Format.FORWARDREF)
    return inspect.signature(function)
