"""Where a document goes by the outputs of a configuration: index, id, action, pipeline, routing."""

import json
import re
from typing import Final, NamedTuple

from pipeline.events.document import OUT_OF_RANGE_TAG, Document, Target
from pipeline.events.indices import DAY_MS, Indices
from pipeline.logstash.configuration import Pipeline
from pipeline.logstash.equivalent import DAILY
from pipeline.logstash.fields import Event
from pipeline.logstash.options import Given
from pipeline.logstash.outputs import Action
from pipeline.logstash.plugin import Origin, Outcomes
from pipeline.logstash.syntax import Plugin
from pipeline.logstash.timestamp import Timestamp, parse_timestamp
from pipeline.settings import Settings

__all__ = ["Router", "Targets"]

# Elasticsearch's own rules.
_LONGEST_INDEX: Final = 255
_LONGEST_ID: Final = 512
_INDEX: Final = re.compile(r"[^-_+\\/*?\"<>|\s,#:A-Z][^\\/*?\"<>|\s,#:A-Z]*\Z")
_FIELD: Final = re.compile(r"%\{.*?\}+")
_NEEDS_ID: Final = {"update", "delete"}
_PLAIN_OPTIONS: Final = ("document_id", "pipeline", "routing", "upsert", "ilm_rollover_alias", "data_stream")
_MILLISECOND: Final = 1_000_000


class Targets(NamedTuple):
    """Where a configuration writes, beside the indices of the pipeline itself."""

    patterns: tuple[str, ...] = ()
    """Of the names of indices."""
    operations: frozenset[str] = frozenset()
    """What is done beside creating documents: index, update, delete."""
    by_id_only: bool = False
    """Whether documents are found by nothing but their ids: they have no coordinates, or no template of ours."""


class Router:
    """Say where documents go; `routes` is false where that is the pipeline's own choice for every one of them."""

    def __init__(self, pipeline: Pipeline, indices: Indices, settings: Settings) -> None:
        self._outputs = pipeline.outputs
        self._indices = indices
        self.routes = bool(pipeline.outputs.elasticsearch) and not _is_own(pipeline, settings)
        outputs = pipeline.outputs.elasticsearch if self.routes else ()
        self.targets = Targets(
            tuple(dict.fromkeys(_pattern_of(output.index) for output in outputs)),
            frozenset(one for output in outputs for one in _operations_of(output.given)),
            by_id_only=self.routes or not settings.events.normalise,
        )

    def of_normalised(
        self, event: Event, document: Document, origin: Origin, outcomes: Outcomes
    ) -> list[Action]:
        """Give what is to be done with an event to which the pipeline's own rules have been applied.

        The day of an index is that of the document, and its record's where that is too far away; a document for which
        no day is open goes where it goes without a configuration.
        """
        time = parse_timestamp(document.fields["@timestamp"]) or origin.now
        if OUT_OF_RANGE_TAG in document.fields.get("tags", ()):
            time = origin.now
        actions = self._actions(event, time, origin, outcomes)
        indices = self._indices
        if document.index_name in {indices.undated, indices.overflow} and not indices.rolled_by_ilm:
            other_day = Timestamp(time.nanoseconds + 400 * DAY_MS * _MILLISECOND)
            others = self._actions(event, other_day, origin, Outcomes())
            actions = [
                action if action.index == other.index else _replaced(action, document.index_name)
                for action, other in zip(actions, others, strict=True)
            ]
        return actions

    def _actions(self, event: Event, time: Timestamp, origin: Origin, outcomes: Outcomes) -> list[Action]:
        return self._outputs.route({**event, "@timestamp": time}, origin, outcomes)

    def only_index(self, event: Event, time: Timestamp, origin: Origin) -> str | None:
        """Give the index where an output says nothing else of an event; None where it does, and for none or several."""
        outcomes = Outcomes()
        actions = self._actions(event, time, origin, outcomes)
        if len(actions) != 1 or outcomes.exceptions:
            return None
        (action,) = actions
        says_more = (
            action.problem
            or action.id is not None
            or action.pipeline is not None
            or action.routing is not None
        )
        return None if says_more or action.action not in {"index", "create"} else action.index

    def of_plain(self, event: Event, origin: Origin, now_ms: int, outcomes: Outcomes) -> list[Action]:
        """Give what Logstash would do with an event; without an output it goes into the index of its day."""
        if self._outputs.elasticsearch:
            return self._outputs.route(event, origin, outcomes)
        instant = event.get("@timestamp")
        event_ms = instant.nanoseconds // _MILLISECOND if isinstance(instant, Timestamp) else None
        index = self._indices.choose(event_ms, origin.timestamp_ms, now_ms).name
        return [Action(index, {name: value for name, value in event.items() if name != "@metadata"})]

    def placed(self, document: Document, action: Action) -> Document:
        """Put a document where an action says; with `refused` where that cannot be."""
        name = action.index or ""
        problem = action.problem or _problem_of(name, action)
        if problem is not None:
            return document._replace(index_name=name, refused=("logstash_output", problem))
        own_id = action.id is not None
        what = "create" if action.action == "index" and not own_id else action.action
        # Ids are of one shard alone: whichever way a record takes into an index of ours, it is routed alike. Another
        # index is the configuration's, and may be a data stream, which takes no routing.
        routing = document.routing if self._indices.holds(name) and not own_id else ""
        placed = document._replace(index_name=name, id=action.id or document.id, routing=routing)
        if what == "create" and not own_id and action.pipeline is None and action.routing is None:
            return placed
        return placed._replace(
            target=Target(
                what, action.pipeline, action.routing, action.doc_as_upsert, action.upsert, own_id=own_id
            )
        )


def _is_own(pipeline: Pipeline, settings: Settings) -> bool:
    """Say whether the outputs do what the pipeline does without them: one index a day, under its prefix."""
    if len(pipeline.outputs.elasticsearch) != 1:
        return False
    (output,) = pipeline.outputs.elasticsearch
    at_root = [
        statement
        for statement in pipeline.configuration.statements("output")
        if isinstance(statement, Plugin) and statement.position == output.position
    ]
    given = output.given
    daily = DAILY.match(given["index"] or "")
    return (
        bool(at_root)
        and daily is not None
        and daily[1] == settings.index.prefix
        and not any(given[name] for name in _PLAIN_OPTIONS)
        and given["action"] in {None, "index", "create"}
    )


def _pattern_of(index: str) -> str:
    """Give the pattern of all names that a template can become."""
    return re.sub(r"\*+", "*", _FIELD.sub("*", index))


def _operations_of(given: Given) -> frozenset[str]:
    action = given["action"] or "index"
    if "%{" in action:
        return frozenset({"index", "update", "delete"})
    return frozenset() if action == "create" or not given["document_id"] else frozenset({action})


def _problem_of(index: str, action: Action) -> str | None:
    """Say why Elasticsearch would not take an action, or would take it for another one."""
    if not _INDEX.match(index) or index in {".", ".."} or len(index.encode()) > _LONGEST_INDEX:
        return f"`{index[:300]}` is not a name of an index"
    if action.id is not None and len(action.id.encode()) > _LONGEST_ID:
        return f"the id `{action.id[:100]}…` is longer than {_LONGEST_ID} bytes"
    if action.id is None and action.action in _NEEDS_ID:
        return f"the action `{action.action}` needs a document_id, and this event has none"
    if action.action == "update" and action.upsert is not None:
        try:
            upsert = json.loads(action.upsert)
        except (ValueError, RecursionError):
            upsert = None
        if not isinstance(upsert, dict):
            return f"the upsert `{action.upsert[:300]}` is not a JSON object"
    return None


def _replaced(action: Action, index: str) -> Action:
    return Action(
        index,
        action.document,
        action.id,
        action.action,
        action.pipeline,
        action.routing,
        action.doc_as_upsert,
        action.upsert,
        action.problem,
    )
