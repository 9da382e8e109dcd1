"""A whole configuration: read from files, and compiled from its inputs to its outputs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import LogstashError
from pipeline.logstash.compiler import Compiled, Context, compile_filters
from pipeline.logstash.environment import fill_in
from pipeline.logstash.fields import Event
from pipeline.logstash.inputs import Input, read_inputs
from pipeline.logstash.options import Given
from pipeline.logstash.outputs import Outputs, compile_outputs
from pipeline.logstash.parse import parse
from pipeline.logstash.plugin import Ecs, Origin
from pipeline.logstash.syntax import Configuration, Position, Section

__all__ = ["Pipeline", "compile_pipeline", "read_configuration"]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A configuration, ready to run."""

    configuration: Configuration
    inputs: tuple[Input, ...]
    filters: Compiled
    outputs: Outputs
    ecs: Ecs

    def events(self, value: bytes, origin: Origin, group_id: str = "") -> list[Event]:
        """Make the events of a record; `group_id` is the group that reads, if not the one the input names."""
        return self.input_of(origin.topic).events(value, origin, self.ecs, group_id)

    def input_of(self, topic: str) -> Input:
        """Give the input that reads a topic, or else the first."""
        for known in self.inputs:
            if known.reads(topic):
                return known
        return self.inputs[0] if self.inputs else _PLAIN


_PLAIN = Input(Position("", 1, 1), Given("kafka", Position("", 1, 1), {"group_id": "logstash"}))


def read_configuration(
    paths: Sequence[Path], environment: Mapping[str, str], *, support_escapes: bool = False
) -> Configuration:
    """Read files, and the `*.conf` of folders in the order of their names, as one configuration.

    Raises LogstashError for a file that is not there, and for what is wrong in one.
    """
    sections: list[Section] = []
    for path in configuration_files(paths):
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise LogstashError(f"{path} cannot be read: {error}", file=str(path)) from None
        sections += parse(text, str(path), support_escapes=support_escapes).sections
    return fill_in(Configuration(tuple(sections)), environment)


def configuration_files(paths: Sequence[Path]) -> list[Path]:
    """List the files of a configuration, in Logstash's order; raises LogstashError when there is none."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = sorted(file for file in path.glob("*.conf") if file.is_file())
            if not found:
                raise LogstashError(f"The folder {path} has no *.conf file.", file=str(path))
            files += found
        elif path.exists():
            files.append(path)
        else:
            raise LogstashError(f"{path} does not exist.", file=str(path))
    return files


def compile_pipeline(configuration: Configuration, context: Context) -> Pipeline:
    """Compile all sections; raises LogstashError with the place of what cannot be done."""
    inputs = read_inputs(configuration.statements("input"))
    for known in inputs:
        if known.topics_pattern is not None:
            try:
                re.compile(known.topics_pattern)
            except re.error as error:
                raise known.given.place("topics_pattern").error(
                    f"`topics_pattern` is no regular expression: {error}."
                ) from None
    return Pipeline(
        configuration=configuration,
        inputs=inputs,
        filters=compile_filters(configuration.statements("filter"), context),
        outputs=compile_outputs(configuration.statements("output"), context),
        ecs=context.ecs,
    )
