"""What the templates ask for that not every Elasticsearch has, and what they are without it."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

from pipeline.install.resources import Kind, Resource

__all__ = ["OPTIONS", "Option"]


class Option(NamedTuple):
    """Something that a server may refuse: a word of its refusal, what is done then, and what to tell the user."""

    mark: str
    without: Callable[[dict[str, Any]], None]
    """Changes the `template` part of a component, where that has it."""
    note: str

    def left_out(self, resources: Sequence[Resource]) -> list[Resource]:
        """Give the resources without it."""
        return [
            resource._replace(body=self._body(resource.body)) if resource.kind is Kind.COMPONENT else resource
            for resource in resources
        ]

    def _body(self, body: dict[str, Any]) -> dict[str, Any]:
        changed = deepcopy(body)
        self.without(changed["template"])
        return changed


def _message_as_text(template: dict[str, Any]) -> None:
    message = template.get("mappings", {}).get("properties", {}).get("message")
    if message is not None and message["type"] == "match_only_text":
        message.update(type="text", norms=False)


def _searchable_sequence_numbers(template: dict[str, Any]) -> None:
    template.get("settings", {}).pop("index.seq_no.index_options", None)


OPTIONS = (
    Option(
        "match_only_text",
        _message_as_text,
        "this Elasticsearch has no fields of type match_only_text (its module mapper-extras is missing): `message` is "
        "of type text, which finds the same, and takes more room where messages are long",
    ),
    Option(
        "index.seq_no.index_options",
        _searchable_sequence_numbers,
        "this Elasticsearch does not know index.seq_no.index_options: it takes a byte more for each document",
    ),
)
