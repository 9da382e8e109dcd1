"""KQL into Elasticsearch's query language, as far as the dashboards use it.

As Kibana's own `toElasticsearchQuery` does: a bare value is a `match`, a quoted one a `match_phrase`, `*` is
`exists`; `and` binds closer than `or`.
"""

import re
from typing import Any

__all__ = ["fields_of", "to_query"]

Query = dict[str, Any]

_TOKEN = re.compile(r'\s*("[^"]*"|>=|<=|[():<>]|[^\s():<>"]+)')
_RANGES = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


def to_query(text: str) -> Query:
    """Translate; the empty text finds everything."""
    if not text.strip():
        return {"match_all": {}}
    parser = _Parser(text)
    query = parser.any_of()
    assert parser.at_end(), f"{text!r} goes on after {parser.read}"
    return query


def fields_of(text: str) -> set[str]:
    """Return the fields that a text asks about."""
    parser = _Parser(text)
    if text.strip():
        parser.any_of()
    return parser.fields


class _Parser:
    def __init__(self, text: str) -> None:
        self.fields: set[str] = set()
        self.read: list[str] = []
        self._tokens = _TOKEN.findall(text)
        assert "".join(self._tokens) == re.sub(r'\s+(?=([^"]*"[^"]*")*[^"]*$)', "", text), text

    def at_end(self) -> bool:
        return not self._tokens

    def any_of(self, field: str | None = None) -> Query:
        return self._joined("or", "should", lambda: self._all_of(field))

    def _all_of(self, field: str | None) -> Query:
        return self._joined("and", "filter", lambda: self._one(field))

    def _joined(self, word: str, clause: str, part: Any) -> Query:
        parts = [part()]
        while self._tokens and self._tokens[0].lower() == word:
            self._next()
            parts.append(part())
        if len(parts) == 1:
            return dict(parts[0])
        return {"bool": {clause: parts, **({"minimum_should_match": 1} if clause == "should" else {})}}

    def _one(self, field: str | None) -> Query:
        word = self._next()
        if word.lower() == "not":
            return {"bool": {"must_not": self._one(field)}}
        if word == "(":
            query = self.any_of(field)
            assert self._next() == ")"
            return query
        if field is not None:
            return _value(field, word)
        name = word.strip('"')
        self.fields.add(name)
        operator = self._next()
        if operator in _RANGES:
            return {"range": {name: {_RANGES[operator]: float(self._next())}}}
        assert operator == ":", f"{operator!r} after {name}"
        return self._one(name)

    def _next(self) -> str:
        assert self._tokens, f"ends after {self.read}"
        self.read.append(self._tokens.pop(0))
        return self.read[-1]


def _value(field: str, word: str) -> Query:
    if word == "*":
        return {"exists": {"field": field}}
    if word.startswith('"'):
        return {"match_phrase": {field: word.strip('"')}}
    assert "*" not in word, f"no wildcards: {word}"
    return {"match": {field: word}}
