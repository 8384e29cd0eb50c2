"""Health as lines of text."""

import pytest

from pg_events_tui.model.rates import TableRates
from pg_events_tui.text import pipeline
from pg_events_tui.text.lines import width


@pytest.mark.parametrize("cells", range(40, 140))
def test_the_columns_of_the_rates_fit_and_none_is_cut(cells):
    rates = TableRates()
    rates.add({"public.orders_of_the_shop": 19_876}, 1_000.0)

    heading, items = pipeline.rows_of("Rates", None, rates, 1_000.0, cells, "now", None)

    assert width(heading) <= cells
    (_, row) = items[0]
    shown = "".join(part.text for part in (row() if callable(row) else row))
    assert "19,876" in shown
    assert len(shown) <= cells
