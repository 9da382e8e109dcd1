"""The result of a comparison as plain values for JSON, and as a page for a browser."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any, Final

from pipeline.shadow.comparison import FieldReport, Parity, Sample
from pipeline.shadow.differences import MISSING

__all__ = ["HINT_OF_TIME", "as_json", "as_page", "shown", "verdict"]

_COUNTS: Final = {
    "records": "records read",
    "here": "documents made here",
    "there": "documents read there",
    "equal": "equal",
    "different": "different",
    "only_here": "only here",
    "only_there": "only there",
    "pending": "came meanwhile, not there yet",
    "outside": "there, of records or times outside",
    "damaged": "damaged in Kafka",
}
_LONGEST: Final = 300
HINT_OF_TIME: Final = (
    "`@timestamp` without a `date` filter is the time of processing there and the record's own time here: "
    "`--ignore @timestamp` leaves it out."
)
_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border-bottom: 1px solid #8886; padding: .3rem .8rem .3rem 0; text-align: left; vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere; }
.yes { color: #15803d; } .no { color: #dc2626; }
"""


def verdict(parity: Parity) -> str:
    """Say in one sentence how it went."""
    if parity.is_equal:
        return f"All {parity.equal:,} documents are equal."
    if not parity.compared:
        return "Nothing was compared: no document there is of a record that was read."
    share = 100 * parity.equal / max(1, parity.compared + parity.only_here + parity.only_there)
    return f"{parity.equal:,} documents are equal, {share:.1f} % of all."


def as_json(parity: Parity) -> dict[str, Any]:
    """Give the result as plain values."""
    return {
        "is_equal": parity.is_equal,
        **{name: getattr(parity, name) for name in _COUNTS},
        "dropped": dict(parity.dropped),
        "dead": dict(parity.dead),
        "found_by": dict(parity.found_by),
        "not_compared": list(parity.not_compared),
        "fields": [
            {
                "field": name,
                "documents": report.documents,
                "kinds": dict(report.kinds),
                "samples": [_sample(sample) for sample in report.samples],
            }
            for name, report in parity.fields.items()
        ],
        "samples_only_here": [
            {"record": record, "index": written.index_name, "document": written.document}
            for record, written in parity.samples_here
        ],
        "samples_only_there": [
            {"index": written.index_name, "id": written.id, "document": written.document}
            for written in parity.samples_there
        ],
    }


def _sample(sample: Sample) -> dict[str, Any]:
    """Write a sample; a side that does not have the field is left out."""
    row = {"record": sample.record, "index": sample.index_name, "id": sample.id}
    for name in ("here", "there"):
        value = getattr(sample.difference, name)
        if value is not MISSING:
            row[name] = value
    return row


def shown(value: Any) -> str:
    """Write a value as JSON, cut where it is long; `-` for a field that is not there."""
    if value is MISSING:
        return "-"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def as_page(parity: Parity, about: str) -> str:
    """Write a page of HTML that loads nothing; `about` says what was compared."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8"><title>Parity with Logstash</title>',
            f"<style>{_STYLE}</style></head><body>",
            "<h1>Parity with Logstash</h1>",
            f"<p>{escape(about)}</p>",
            f'<p class="{"yes" if parity.is_equal else "no"}"><strong>{escape(verdict(parity))}</strong></p>',
            *_table(("", "documents"), [(name, getattr(parity, key)) for key, name in _COUNTS.items()]),
            *_counters("Dropped here", parity.dropped),
            *_counters("Dead letters here", parity.dead),
            *_counters("Found by", parity.found_by),
            *_fields(parity.fields),
            *_only("Only here", [(pair.record, pair.written.document) for pair in parity.samples_here]),
            *_only(
                "Only there",
                [(f"{each.index_name} {each.id}", each.document) for each in parity.samples_there],
            ),
            *(
                [f"<p>Not compared: <code>{escape(', '.join(parity.not_compared))}</code></p>"]
                if parity.not_compared
                else []
            ),
            "</body></html>\n",
        ]
    )


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Iterator[str]:
    yield f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>"
    for row in rows:
        cells = (
            f'<td class="n">{cell:,}</td>'
            if isinstance(cell, int)
            else f"<td><code>{escape(cell)}</code></td>"
            for cell in row
        )
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</table>"


def _counters(title: str, counts: Any) -> Iterator[str]:
    if counts:
        yield f"<h2>{title}</h2>"
        yield from _table(("", "documents"), list(counts.items()))


def _fields(fields: dict[str, FieldReport]) -> Iterator[str]:
    if not fields:
        return
    yield "<h2>Different fields</h2>"
    rows: list[tuple[Any, ...]] = [
        (name, report.documents, ", ".join(f"{kind} {number:,}" for kind, number in report.kinds.items()))
        for name, report in fields.items()
    ]
    yield from _table(("field", "documents", "how"), rows)
    for name, report in fields.items():
        yield f"<h3><code>{escape(name)}</code></h3>"
        samples: list[tuple[Any, ...]] = [
            (each.record, shown(each.difference.here), shown(each.difference.there))
            for each in report.samples
        ]
        yield from _table(("record", "here", "there"), samples)


def _only(title: str, samples: list[tuple[str, Any]]) -> Iterator[str]:
    if samples:
        yield f"<h2>{title}: samples</h2>"
        yield from _table(("", "document"), [(place, shown(document)) for place, document in samples])
