"""The output section, compiled: where each event goes, by the rules of Logstash's Elasticsearch output."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pipeline.logstash.compiler import Context, runtime
from pipeline.logstash.condition_source import write_condition
from pipeline.logstash.fields import Event, get
from pipeline.logstash.interpolation import interpolate
from pipeline.logstash.options import Given, check_options
from pipeline.logstash.output_options import OUTPUT_OPTIONS, settings_of_output
from pipeline.logstash.plugin import Origin, Outcomes, Site
from pipeline.logstash.source import Source
from pipeline.logstash.syntax import Branch, Plugin, Position, Statement

__all__ = ["TAP_OUTPUTS", "Action", "Output", "Outputs", "compile_outputs"]

_TAP: Final = "It is for looking on: `logpipe logstash test` shows every document."
TAP_OUTPUTS: Final[Mapping[str, str]] = {
    "file": _TAP,
    "null": "It takes events nowhere: one that no other output takes is dropped.",
    "stdout": _TAP,
}
"""Outputs that do nothing here, and why."""
_REFUSED: Final[Mapping[str, str]] = {
    "kafka": "Let another consumer copy the topic.",
    "opensearch": "Documents go to Elasticsearch.",
    "pipeline": "Put the filters of the other pipeline into this one.",
}
_ACTIONS: Final = {"index", "create", "update", "delete"}
_PLACEHOLDER: Final = re.compile(r"%\{.*?\}")
_NO_STREAM: Final = {
    "index",
    "ilm_rollover_alias",
    "template",
    "template_name",
    "manage_template",
    "ilm_enabled",
}


@dataclass(frozen=True, slots=True)
class Action:
    """What is done with an event in Elasticsearch; with `problem` it is a dead letter instead."""

    index: str | None
    document: Event
    id: str | None = None
    action: str = "index"
    pipeline: str | None = None
    routing: str | None = None
    doc_as_upsert: bool = False
    upsert: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """One Elasticsearch output: its options and the settings of ours that they are."""

    position: Position
    given: Given
    index: str
    """The name of its indices, with places for what events say."""
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outputs:
    """The output section, ready to ask where an event goes."""

    elasticsearch: tuple[Output, ...]
    source: str
    _route: Callable[[Event, Origin, Outcomes, list[Action]], None]

    def route(self, event: Event, origin: Origin, outcomes: Outcomes) -> list[Action]:
        """Give what is to be done with an event, in the order of the outputs; nothing when no output takes it."""
        actions: list[Action] = []
        self._route(event, origin, outcomes, actions)
        return actions


def compile_outputs(statements: Sequence[Statement], context: Context) -> Outputs:
    """Compile an output section; raises LogstashError for an output that is none of ours."""
    writer = _Writer(context)
    with writer.source.function("def route(event, origin, outcomes, actions):"):
        writer.statements(statements)
    text = writer.source.text_of_module()
    namespace: dict[str, Any] = runtime(writer.source)
    exec(compile(text, "<logstash outputs>", "exec"), namespace)  # noqa: S102 - the source is our own
    return Outputs(tuple(writer.outputs), text, namespace["route"])


class _Writer:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.source = Source()
        self.outputs: list[Output] = []

    def statements(self, statements: Sequence[Statement]) -> None:
        for statement in statements:
            if isinstance(statement, Branch):
                self._branch(statement)
            else:
                self._output(statement)

    def _branch(self, branch: Branch) -> None:
        arm = self.source.fresh("arm")
        self.source.line(f"{arm} = 0")
        label = f"if, line {branch.position.line}"
        site = Site(branch.position, label, self.context.ecs, self.context.timeout)
        for number, (condition, _statements) in enumerate(branch.arms, 1):
            written = "True" if condition is None else write_condition(condition, self.source, site).text
            with self.source.block("try:"):
                self.source.line(f"{arm} = {arm} or ({number} if {written} else 0)")
            with self.source.block("except Exception as error:"):
                self.source.line(f"outcomes.fail(event, {label!r}, error)")
        for number, (_condition, statements) in enumerate(branch.arms, 1):
            with self.source.block(f"if {arm} == {number}:  # line {branch.position.line}"):
                self.statements(statements)

    def _output(self, plugin: Plugin) -> None:
        if plugin.name in TAP_OUTPUTS:
            return
        if plugin.name != "elasticsearch":
            raise plugin.position.error(
                f"The output `{plugin.name}` is not supported: documents go to Elasticsearch.",
                _REFUSED.get(plugin.name, "Leave it out, or keep Logstash for it."),
            )
        given = check_options(plugin, OUTPUT_OPTIONS)
        site = Site(plugin.position, f"elasticsearch, line {plugin.position.line}", self.context.ecs)
        index = _stream_name(given) if _is_stream(given, site) else _index(given, site)
        self.outputs.append(Output(plugin.position, given, index, settings_of_output(given)))
        make = self.source.constant(_maker(given, site), "elasticsearch")
        self.source.line(f"# {site.label}")
        self.source.line(f"actions.append({make}(event, origin))")


def _is_stream(given: Given, site: Site) -> bool:
    """Say whether documents go to a data stream: asked for, or Logstash's default when nothing speaks against it."""
    wanted = given["data_stream"] or "auto"
    if wanted != "auto":
        return bool(wanted == "true")
    action = given["action"]
    if site.ecs == "disabled" or (action is not None and action != "create"):
        return False
    return not any(given.given(name) for name in _NO_STREAM)


def _index(given: Given, site: Site) -> str:
    """Give the template of an index's name."""
    prefix = "ecs-logstash" if site.has_ecs else "logstash"
    return str(given["ilm_rollover_alias"] or given["index"] or f"{prefix}-%{{+yyyy.MM.dd}}")


def _stream_name(given: Given) -> str:
    """Give the same of a data stream's."""
    parts = ("type", "dataset", "namespace")
    if given["data_stream_auto_routing"]:
        return "-".join(f"%{{[data_stream][{part}]}}" for part in parts)
    return "-".join(str(given[f"data_stream_{part}"]) for part in parts)


def _maker(given: Given, site: Site) -> Callable[[Event, Origin], Action]:
    """Make the function that turns an event into an action."""
    for name in ("index", "document_id", "pipeline", "routing", "action", "upsert"):
        if given[name]:
            site.template(given[name], given.place(name))
    stream = _is_stream(given, site)
    index = _index(given, site)
    action = given["action"] or ("create" if stream else "index")

    def filled(event: Event, origin: Origin, name: str) -> str | None:
        return interpolate(event, given[name], origin.now) or None if given[name] else None

    def make(event: Event, origin: Origin) -> Action:
        document = {name: value for name, value in event.items() if name != "@metadata"}
        name = _stream(event, document, given) if stream else interpolate(event, index, origin.now)
        what = interpolate(event, action, origin.now)
        problem = None
        if _PLACEHOLDER.search(name):
            problem = f"the index name `{name}` still has a field that this event does not have"
        elif what not in _ACTIONS:
            problem = f"the action `{what}` is not one of {', '.join(sorted(_ACTIONS))}"
        return Action(
            index=name,
            document=document,
            id=filled(event, origin, "document_id"),
            action=what,
            pipeline=filled(event, origin, "pipeline"),
            routing=filled(event, origin, "routing"),
            doc_as_upsert=given["doc_as_upsert"],
            upsert=filled(event, origin, "upsert"),
            problem=problem,
        )

    return make


def _stream(event: Event, document: Event, given: Given) -> str:
    """Name the data stream, by the event's own fields before the options, and write its parts into the document."""
    parts: dict[str, str] = {}
    for name in ("type", "dataset", "namespace"):
        own = get(event, ("data_stream", name)) if given["data_stream_auto_routing"] else None
        parts[name] = own if isinstance(own, str) and own else given[f"data_stream_{name}"]
    if given["data_stream_sync_fields"]:
        present = document.get("data_stream")
        document["data_stream"] = {**(present if isinstance(present, dict) else {}), **parts}
    return "-".join(parts.values())
