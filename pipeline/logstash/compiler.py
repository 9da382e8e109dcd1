"""From the filter section's syntax tree to Python: one function a pipeline, over lists of events.

One walk over the tree, so one file; how things look in Python is in `source` and its neighbours.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from pipeline.logstash import conditions, fields, interpolation
from pipeline.logstash.common_source import has_common, write_common
from pipeline.logstash.condition_source import write_condition
from pipeline.logstash.fields import Event, FieldError
from pipeline.logstash.filters import FILTERS, REFUSED
from pipeline.logstash.options import COMMON, Given, check_options, scalar_text
from pipeline.logstash.patterns import DEFAULT_TIMEOUT
from pipeline.logstash.plugin import FILTER_EXCEPTION, Ecs, Inline, Outcomes, Site, Spread, Step
from pipeline.logstash.source import Source
from pipeline.logstash.syntax import Branch, Plugin, Position, Statement

__all__ = ["SETTING", "Compiled", "Context", "Wrap", "compile_filters", "runtime"]

Wrap: TypeAlias = Callable[[str, Callable[[Event], Any]], Callable[[Event], Any]]
"""Puts something around a function of the user's own, given its name."""
SETTING: Final = "filters.python"
"""Stands for the file of what is not from one."""

MAX_NESTING: Final = 40
_ARMS_IN_ONE_CHAIN: Final = 30
_RUNTIME: Final[Mapping[str, Any]] = {
    **{
        name: getattr(conditions, name)
        for name in ("at_least", "at_most", "greater", "in_literals", "less", "member")
    },
    **{name: getattr(conditions, name) for name in ("member_of", "part_of", "same")},
    **{
        name: getattr(fields, name)
        for name in ("add_field", "add_tag", "find", "get", "has", "parse_reference")
    },
    **{
        name: getattr(fields, name)
        for name in ("remove", "remove_tag", "set_field", "tag_failure", "copy_value")
    },
    **{name: getattr(interpolation, name) for name in ("as_text", "epoch_text", "written_at")},
}


@dataclass(frozen=True, slots=True)
class Context:
    """What a configuration is compiled with. `directory` is where its relative paths start."""

    ecs: Ecs = "v8"
    timeout: float = DEFAULT_TIMEOUT
    directory: Path = field(default_factory=Path)
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    watched: bool = False
    several_files: bool = False
    wrap: Wrap | None = None


@dataclass(frozen=True, slots=True)
class Compiled:
    """A filter section, ready to run. `is_empty` says that it leaves every event as it is."""

    source: str
    is_empty: bool
    steps: tuple[str, ...]
    _run: Callable[[list[Event], Sequence[Any], Outcomes], tuple[list[Event], Sequence[Any]]]

    def run(
        self, events: list[Event], origins: Sequence[Any], outcomes: Outcomes
    ) -> tuple[list[Event], Sequence[Any]]:
        """Run events through the filters, each with the record it comes from; give what is left, in order.

        Events are changed in place. An exception of a filter is tagged and counted, never raised.
        """
        return (events, origins) if self.is_empty else self._run(events, origins, outcomes)


def compile_filters(statements: Sequence[Statement], context: Context) -> Compiled:
    """Compile a filter section; raises LogstashError with the place of what cannot be done."""
    compiler = _Compiler(context)
    with compiler.source.function("def filters(events, origins, outcomes):"):
        compiler.section(statements)
        compiler.source.line("return events, origins")
    text = compiler.source.text_of_module()
    namespace = runtime(compiler.source)
    exec(compile(text, "<logstash configuration>", "exec"), namespace)  # noqa: S102 - the source is our own
    return Compiled(text, not statements, tuple(compiler.labels), namespace["filters"])


def runtime(source: Source) -> dict[str, Any]:
    """Give the names that written Python calls."""
    return {**_RUNTIME, **source.constants}


@contextmanager
def _placed(name: str, position: Position) -> Iterator[None]:
    """Give what a value of an option raises its place: whoever reads it wants to know which plugin has it."""
    try:
        yield
    except (FieldError, LookupError, OverflowError, TypeError, ValueError) as error:
        problem = f"`{name}` cannot be made of these options: {error}."
        raise position.error(problem, "See the kinds of its options.") from error


class _Compiler:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.source = Source()
        self.labels: list[str] = []
        self._depth = 0
        self._steps: dict[int, tuple[Step, Given, Site]] = {}

    def section(self, statements: Sequence[Statement]) -> None:
        """Write statements over the lists `events` and `origins`, in stages: one loop as far as nothing multiplies."""
        run: list[Statement] = []
        for statement in statements:
            if not self._spreads(statement):
                run.append(statement)
                continue
            self._loop(run)
            run = []
            if isinstance(statement, Plugin):
                self._spread(statement)
            else:
                self._spreading_branch(statement)
        self._loop(run)

    def _spreads(self, statement: Statement) -> bool:
        """Say whether a statement can make several events of one."""
        if isinstance(statement, Plugin):
            return isinstance(self._built(statement)[0], Spread)
        return any(self._spreads(inner) for _condition, arm in statement.arms for inner in arm)

    def _drops(self, statement: Statement) -> bool:
        if isinstance(statement, Plugin):
            step = self._built(statement)[0]
            return isinstance(step, Inline) and step.drops
        return any(self._drops(inner) for _condition, arm in statement.arms for inner in arm)

    def _loop(self, statements: Sequence[Statement]) -> None:
        if not statements:
            return
        drops = any(self._drops(statement) for statement in statements)
        if drops:
            self.source.line("kept_events, kept_origins = [], []")
            self.source.line("keep_event, keep_origin = kept_events.append, kept_origins.append")
        with self.source.block("for event, origin in zip(events, origins):"):
            for statement in statements:
                self._statement(statement)
            if drops:
                self.source.line("keep_event(event)")
                self.source.line("keep_origin(origin)")
        if drops:
            self.source.line("events, origins = kept_events, kept_origins")

    def _statement(self, statement: Statement) -> None:
        if isinstance(statement, Plugin):
            self._plugin(statement)
        else:
            self._branch(statement)

    def label(self, name: str, position: Position) -> str:
        """Name a step as counters and reports show it."""
        if position.file == SETTING:
            return f"{name}, {SETTING} {position.line}"
        file = f"{Path(position.file).name} " if self.context.several_files else ""
        return f"{name}, {file}line {position.line}"

    def _site(self, name: str, position: Position) -> Site:
        return Site(
            position=position,
            label=self.label(name, position),
            ecs=self.context.ecs,
            timeout=self.context.timeout,
            directory=self.context.directory,
            functions=self.context.functions,
            wrap=self.context.wrap,
        )

    def _built(self, plugin: Plugin) -> tuple[Step, Given, Site]:
        """Check and build a plugin, once."""
        if id(plugin) not in self._steps:
            module = FILTERS.get(plugin.name)
            if module is None:
                raise plugin.position.error(
                    f"The filter `{plugin.name}` is not supported.",
                    REFUSED.get(
                        plugin.name, 'Write it as a Python function: python { function => "module:name" }.'
                    ),
                )
            given = check_options(plugin, {**COMMON, **module.OPTIONS})
            self._check_common(given)
            site = self._site(plugin.name, plugin.position)
            self.labels.append(site.label)
            with _placed(plugin.name, plugin.position):
                self._steps[id(plugin)] = (module.build(given, site), given, site)
        return self._steps[id(plugin)]

    def _check_common(self, given: Given) -> None:
        site = self._site(given.plugin, given.position)
        for name in ("add_tag", "remove_field", "remove_tag"):
            for text in given.texts(name):
                site.template(text, given.place(name))
        for name, value in given["add_field"].items():
            for text in (name, *(value if isinstance(value, list) else [value])):
                site.template(scalar_text(text), given.place("add_field"))

    def _plugin(self, plugin: Plugin) -> None:
        step, given, site = self._built(plugin)
        source = self.source
        source.line(f"# {site.label}")
        if isinstance(step, Inline) and step.drops:
            step.emit(source)
            return
        with source.block("try:"):
            if isinstance(step, Inline):
                with _placed(plugin.name, plugin.position):
                    step.emit(source)
                if not step.handles_common:
                    write_common(source, given)
            elif isinstance(step, Spread):
                raise TypeError(plugin.name)  # section() has seen to it
            elif has_common(given):
                with source.block(f"if {source.constant(step.run, plugin.name)}(event, origin):"):
                    write_common(source, given)
            else:
                source.line(f"{source.constant(step.run, plugin.name)}(event, origin)")
        with source.block("except Exception as error:"):
            source.line(f"outcomes.fail(event, {site.label!r}, error)")
        self._watch(site.label)

    def _watch(self, label: str) -> None:
        if self.context.watched:
            self.source.line(f"outcomes.watch({label!r}, event)")

    def _branch(self, branch: Branch) -> None:
        self._enter(branch.position)
        site = self._site("if", branch.position)
        written = [
            (None if condition is None else write_condition(condition, self.source, site), arm)
            for condition, arm in branch.arms
        ]
        source = self.source
        if len(written) <= _ARMS_IN_ONE_CHAIN and not any(text and text.raises for text, _arm in written):
            for number, (text, arm) in enumerate(written):
                header = "else:" if text is None else f"{'elif' if number else 'if'} {text.text}:"
                with source.block(f"{header}  # line {branch.position.line}"):
                    for statement in arm:
                        self._statement(statement)
        else:
            self._guarded_arms(branch, source, written)
        self._depth -= 1

    def _guarded_arms(self, branch: Branch, source: Source, written: list[Any]) -> None:
        """Write a chain whose conditions can raise: find the arm first, then run it."""
        arm = self._find_arm(branch, source, written)
        for number, (_text, statements) in enumerate(written, 1):
            with source.block(f"if {arm} == {number}:  # line {branch.position.line}"):
                for statement in statements:
                    self._statement(statement)

    def _find_arm(self, branch: Branch, source: Source, written: list[Any]) -> str:
        """Write which arm an event takes: its number from 1, or 0 for none."""
        arm = source.fresh("arm")
        for number, (text, _statements) in enumerate(written, 1):
            if text is None:
                source.line(f"{arm} = {arm} or {number}")
                continue
            expression = f"{number} if {text.text} else 0"
            if number > 1:
                expression = f"{arm} or ({expression})"
            if not text.raises:
                source.line(f"{arm} = {expression}")
                continue
            with source.block("try:"):
                source.line(f"{arm} = {expression}")
            with source.block("except Exception as error:"):
                label = self.label("if", branch.position)
                source.line(f"{arm} = outcomes.fail(event, {label!r}, error)")
        return arm

    def _enter(self, position: Position) -> None:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise position.error("Conditions are nested too deep.", f"At most {MAX_NESTING} levels are read.")

    def _spread(self, plugin: Plugin) -> None:
        step, given, site = self._built(plugin)
        if not isinstance(step, Spread):
            raise TypeError(plugin.name)
        source = self.source
        run = source.constant(step.run, plugin.name)
        source.line(f"# {site.label}")
        source.line("spread_events, spread_origins = [], []")
        with source.block("for event, origin in zip(events, origins):"):
            with source.block("try:"):
                source.line(f"parts = {run}(event, origin)")
            with source.block("except Exception as error:"):
                tag = "" if step.tag_on_exception == FILTER_EXCEPTION else f", {step.tag_on_exception!r}"
                source.line(f"outcomes.fail(event, {site.label!r}, error{tag})")
                source.line("parts = None")
            with source.block("for event, applies in [(event, False)] if parts is None else parts:"):
                if has_common(given):
                    with source.block("if applies:"):
                        with source.block("try:"):
                            write_common(source, given)
                        with source.block("except Exception as error:"):
                            source.line(f"outcomes.fail(event, {site.label!r}, error)")
                self._watch(site.label)
                source.line("spread_events.append(event)")
                source.line("spread_origins.append(origin)")
            if step.may_drop:
                with source.block("if parts is not None and not parts:"):
                    source.line(f"outcomes.drop(origin, {site.label!r})")
        source.line("events, origins = spread_events, spread_origins")

    def _spreading_branch(self, branch: Branch) -> None:
        """Write a branch in which something multiplies: each event goes through the function of its arm."""
        self._enter(branch.position)
        site = self._site("if", branch.position)
        source = self.source
        names = []
        for _condition, statements in branch.arms:
            name = source.fresh("arm_of_events")
            names.append(name)
            with source.function(f"def {name}(events, origins, outcomes):  # line {branch.position.line}"):
                self.section(statements)
                source.line("return events, origins")
        written = [
            (None if condition is None else write_condition(condition, source, site), arm)
            for condition, arm in branch.arms
        ]
        source.line("spread_events, spread_origins = [], []")
        with source.block("for event, origin in zip(events, origins):"):
            arm = self._find_arm(branch, source, written)
            source.line("some_events, some_origins = [event], [origin]")
            for number, name in enumerate(names, 1):
                with source.block(f"if {arm} == {number}:"):
                    source.line(f"some_events, some_origins = {name}(some_events, some_origins, outcomes)")
            source.line("spread_events.extend(some_events)")
            source.line("spread_origins.extend(some_origins)")
        source.line("events, origins = spread_events, spread_origins")
        self._depth -= 1
