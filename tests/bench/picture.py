"""The figures as a picture: one group of bars a workload, a bar a variant, all relative to the uncaptured table."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from variants import EXPLAINED, VARIANTS

_COLOURS = {"none": "#9aa5b1", "pg_events": "#2563eb", "notify": "#d97706", "audit": "#7c3aed", "floor": "#94c5a8"}
_BAR, _GAP, _LEFT, _WIDTH = 15, 20, 250, 430
_CUT = 18
"""A longer bar is cut here: its number tells how long it would be."""
_TEXT = 'font-family="system-ui, sans-serif" font-size="13" fill="#1f2933"'


def draw(figures: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Throughput as the share that is left, times as multiples. Writes nothing when neither was measured."""
    kept = {t: f["ratio"] for t, f in figures.items() if "ratio" in f and f.get("higher_is_better")}
    longer = {
        t: f["ratio"]
        for t, f in figures.items()
        if "ratio" in f and t.startswith(("INSERT", "COPY", "UPDATE", "DELETE"))
    }
    parts: list[str] = []
    y = 26
    for variant in VARIANTS:
        parts += [
            f'<rect x="16" y="{y - 10}" width="12" height="12" fill="{_COLOURS[variant]}"/>',
            f'<text x="34" y="{y}" {_TEXT}><tspan font-weight="600">{variant}</tspan>: {escape(_short(EXPLAINED[variant]))}</text>',
        ]
        y += 19
    for heading, groups in (
        ("Throughput that is left (1 = without capture; more is better)", kept),
        ("Time of a statement (1 = without capture; less is better)", longer),
    ):
        if not groups:
            continue
        y += 24
        parts.append(f'<text x="16" y="{y}" {_TEXT} font-weight="700">{escape(heading)}</text>')
        y += 10
        longest = min(_CUT, max(value for ratios in groups.values() for value in ratios.values()))
        for title, ratios in groups.items():
            failed = figures[title].get("failed", {})
            parts.append(f'<text x="16" y="{y + 24}" {_TEXT}>{escape(title.partition(": ")[0])}</text>')
            for variant in VARIANTS:
                if variant == "none" or variant not in ratios.keys() | failed.keys():
                    continue
                width = min(ratios.get(variant, 0), longest) / longest * _WIDTH
                label = f"{ratios[variant]:.2f}" if variant in ratios else failed[variant]
                parts += [
                    f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR - 2}" fill="{_COLOURS[variant]}"/>',
                    f'<text x="{_LEFT + width + 6:.1f}" y="{y + 11}" {_TEXT} style="font-size:11px">{variant} {label}</text>',
                ]
                y += _BAR
            y += _GAP
    if not kept and not longer:
        return
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="860" height="{y}" viewBox="0 0 860 {y}">\n'
        f'<rect width="860" height="{y}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _short(text: str) -> str:
    return text if len(text) < 112 else text[: text.rindex(",", 0, 112)]
