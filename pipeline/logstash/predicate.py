"""One condition of Logstash's language as a Python function: `[level] == "ERROR" and [service] =~ /^api/`."""

from collections.abc import Callable

from pipeline.errors import LogstashError
from pipeline.logstash.compiler import Context, compile_filters
from pipeline.logstash.fields import Event
from pipeline.logstash.parse import parse
from pipeline.logstash.plugin import Origin, Outcomes
from pipeline.logstash.syntax import Branch

__all__ = ["compile_condition"]

_BEFORE, _BEHIND = "filter { if ", "\n{ } else { drop { } } }"
_ARMS = 2
_NO_ORIGIN = Origin(topic="", offset=0, timestamp_ms=0)


def compile_condition(text: str, name: str) -> Callable[[Event], bool]:
    """Compile a condition; `name` is what messages call it, such as the option that it comes from.

    The function tags an event for which the condition cannot be answered with `_filterexception`, and says False, as
    where Logstash would lose the event.

    Raises LogstashError with the column of what is wrong.
    """
    try:
        (section,) = parse(f"{_BEFORE}{text}{_BEHIND}").sections
        statements = section.statements
        (branch,) = statements
        if not isinstance(branch, Branch) or len(branch.arms) != _ARMS or branch.arms[0][1]:
            raise ValueError(text)
        compiled = compile_filters(statements, Context())
    except LogstashError as error:
        behind = error.line > 1 + text.count("\n")
        column = len(text) + 1 if behind else error.column - (len(_BEFORE) if error.line <= 1 else 0)
        problem = "The condition ends too early." if behind else error.problem
        raise LogstashError(
            problem, file=name, line=min(error.line, 1 + text.count("\n")), column=column, advice=error.advice
        ) from None
    except ValueError:
        raise LogstashError("This is more than one condition.", file=name) from None

    def holds(event: Event) -> bool:
        left, _ = compiled.run([event], [_NO_ORIGIN], Outcomes())
        return bool(left)

    return holds
