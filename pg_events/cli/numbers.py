"""Numeric types of options, with clear error messages."""

import math
from typing import Any

import click


class Number(click.FloatRange):
    """A number within bounds, such as 0.5 or 10."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            is_number = not math.isnan(float(value))
        except ValueError:
            is_number = False
        if not is_number:
            self.fail(f"{value!r} is not a number; pass one such as 0.5 or 10", param, ctx)
        return super().convert(value, param, ctx)


class Count(click.IntRange):
    """A whole number within bounds, such as 10."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            int(value)
        except ValueError:
            self.fail(f"{value!r} is not a whole number; pass one such as 10", param, ctx)
        return super().convert(value, param, ctx)
