"""What of a configuration is done here: plugin by plugin, option by option, with the place of what is not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from pipeline.errors import LogstashError
from pipeline.logstash.compiler import Context, compile_filters
from pipeline.logstash.filters import FILTERS
from pipeline.logstash.input_options import INPUT_OPTIONS
from pipeline.logstash.inputs import plugins_in, read_input
from pipeline.logstash.options import COMMON, Option
from pipeline.logstash.output_options import OUTPUT_OPTIONS
from pipeline.logstash.outputs import TAP_OUTPUTS, compile_outputs
from pipeline.logstash.syntax import Branch, Configuration, Plugin, Statement

__all__ = ["Finding", "cover", "finding_of"]

Status: TypeAlias = Literal["done", "differs", "ignored", "not done"]
_KINDS: Final[tuple[Literal["input", "filter", "output"], ...]] = ("input", "filter", "output")


@dataclass(frozen=True, slots=True)
class Finding:
    """One option of one plugin, or the plugin itself, or a condition: how it is met, where it stands."""

    section: str
    plugin: str
    option: str
    status: Status
    note: str = ""
    file: str = ""
    line: int = 0
    column: int = 0


def finding_of(error: LogstashError, section: str = "", plugin: str = "") -> Finding:
    """Make a finding of an error."""
    note = f"{error.problem} {error.advice}".strip()
    return Finding(section, plugin, "", "not done", note, error.file, error.line, error.column)


def cover(configuration: Configuration, context: Context) -> list[Finding]:
    """Look at everything in a configuration, past what cannot be done."""
    found: list[Finding] = []
    for kind in _KINDS:
        statements = configuration.statements(kind)
        for plugin in plugins_in(statements):
            found += _plugin(kind, plugin, context)
        if kind != "input":
            found += _conditions(kind, statements, context)
    if not any(finding.status == "not done" for finding in found):
        found += _whole(configuration, context)
    return found


def _whole(configuration: Configuration, context: Context) -> Iterator[Finding]:
    """Compile the sections as they stand, for what only all of it together can do wrong, such as nesting."""
    try:
        compile_filters(configuration.statements("filter"), context)
        compile_outputs(configuration.statements("output"), context)
    except LogstashError as error:
        yield finding_of(error)


def _table(kind: str, plugin: Plugin) -> Mapping[str, Option] | None:
    if kind == "input":
        return INPUT_OPTIONS if plugin.name == "kafka" else None
    if kind == "output":
        return OUTPUT_OPTIONS if plugin.name == "elasticsearch" else None
    module = FILTERS.get(plugin.name)
    return None if module is None else {**COMMON, **module.OPTIONS}


def _plugin(kind: str, plugin: Plugin, context: Context) -> list[Finding]:
    place = plugin.position
    if kind == "output" and plugin.name in TAP_OUTPUTS:
        note = TAP_OUTPUTS[plugin.name]
        return [Finding(kind, plugin.name, "", "ignored", note, place.file, place.line, place.column)]
    table = _table(kind, plugin)
    if table is None:
        error = _failure(kind, plugin, context)
        return [finding_of(error, kind, plugin.name)] if error else []
    found = [Finding(kind, plugin.name, "", "done", "", place.file, place.line, place.column)]
    good = []
    for attribute in plugin.attributes:
        option = table.get(attribute.name)
        at = attribute.position
        if option is None:
            note = f"`{plugin.name}` has no option `{attribute.name}`."
            found.append(
                Finding(kind, plugin.name, attribute.name, "not done", note, at.file, at.line, at.column)
            )
            continue
        status: Status = "not done" if option.status == "refused" else option.status
        found.append(
            Finding(kind, plugin.name, attribute.name, status, option.note, at.file, at.line, at.column)
        )
        if status != "not done":
            good.append(attribute)
    error = _failure(kind, replace(plugin, attributes=tuple(good)), context)
    if error is not None and not any(
        finding.status == "not done" and finding.line == error.line and finding.note.startswith(error.problem)
        for finding in found
    ):
        found.append(finding_of(error, kind, plugin.name))
    return found


def _failure(kind: str, plugin: Plugin, context: Context) -> LogstashError | None:
    """Build a plugin alone, and give the error that it meets."""
    try:
        if kind == "input":
            read_input(plugin)
        elif kind == "filter":
            compile_filters([plugin], context)
        else:
            compile_outputs([plugin], context)
    except LogstashError as error:
        return error
    return None


def _conditions(kind: str, statements: Sequence[Statement], context: Context) -> Iterator[Finding]:
    """Compile each condition with nothing in its arms."""
    for statement in statements:
        if not isinstance(statement, Branch):
            continue
        for condition, arm in statement.arms:
            if condition is not None:
                alone = Branch(((condition, ()),), statement.position)
                try:
                    if kind == "filter":
                        compile_filters([alone], context)
                    else:
                        compile_outputs([alone], context)
                except LogstashError as error:
                    yield finding_of(error, kind, "if")
            yield from _conditions(kind, arm, context)
