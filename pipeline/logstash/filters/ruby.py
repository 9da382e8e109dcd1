"""`ruby`: the most common shapes of code are read and run; all else is answered with a Python skeleton."""

from collections.abc import Mapping
from typing import Final

from pipeline.logstash.fields import Event, FieldError, tag_failure
from pipeline.logstash.oniguruma import UntranslatableError
from pipeline.logstash.options import Given, Option
from pipeline.logstash.patterns import PatternTimeout
from pipeline.logstash.plugin import Change, Origin, Site, Spread
from pipeline.logstash.ruby_code import Cancelled, RubyError, UnreadableError, read_ruby

__all__ = ["OPTIONS", "build", "skeleton"]

OPTIONS: Final[Mapping[str, Option]] = {
    "code": Option(
        "string",
        status="differs",
        note="The common shapes are read, without Ruby; `Time.now` is the record's time.",
    ),
    "path": Option(
        "string", status="refused", note="Write it as a Python function: python { function => … }."
    ),
    "script_params": Option(
        "hash", status="refused", note="Write it as a Python function: python { function => … }."
    ),
    "init": Option(
        "string", status="refused", note="Write it as a Python function: python { function => … }."
    ),
    "tag_on_exception": Option("string", "_rubyexception"),
    "tag_with_exception_message": Option("boolean", False),
}


def skeleton(code: str) -> str:
    """Write the Python function to fill in."""
    body = "\n".join(f"    #   {line}" for line in code.strip().splitlines())
    return f"def enrich(event: dict) -> dict | list[dict] | None:\n    # This was, in Ruby:\n{body}\n    return event"


def build(given: Given, site: Site) -> Change | Spread:
    """Read the code; raises LogstashError with a skeleton for what is not read."""
    code = given["code"]
    if code is None:
        raise site.position.error("`ruby` needs the option `code`.")
    try:
        call = read_ruby(code)
    except (UnreadableError, UntranslatableError) as error:
        raise given.place("code").error(
            f"This Ruby code is not read here: {error}.",
            f'Write python {{ function => "my_module:enrich" }} with\n{skeleton(code)}',
        ) from None
    tag, with_message = given["tag_on_exception"], given["tag_with_exception_message"]

    def run(event: Event, origin: Origin) -> bool:
        try:
            call(event, origin)
        except (RubyError, FieldError, PatternTimeout) as error:
            tag_failure(event, f"{tag}: {error}" if with_message else tag)
            return False
        return True

    if "cancel" not in code:
        return Change(run)

    def run_or_drop(event: Event, origin: Origin) -> list[tuple[Event, bool]]:
        try:
            return [(event, run(event, origin))]
        except Cancelled:
            return []

    return Spread(run_or_drop, may_drop=True)
