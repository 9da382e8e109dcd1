"""Dead letters in the log: a line for each reason and minute."""

from pipeline.bulk.dead_letter_lines import DeadLetterLines
from pipeline.events.document import Coordinates
from pipeline.kafka.dead_letters import DeadLetter

TRACE = "c8a70639eb1167b367a9c3787c65c1e5"


def letter(offset: int, field: str = "context.n", value: bytes = b"") -> DeadLetter:
    return DeadLetter(
        Coordinates("logs", 3, offset, 1000),
        key=None,
        value=value,
        headers=(),
        error_type="document_parsing_exception",
        reason=f"failed to parse field [{field}]",
        field=field,
        status=400,
        attempts=1,
    )


def test_the_first_is_told_at_once_and_those_of_a_minute_together() -> None:
    lines = DeadLetterLines()
    lines.note(letter(1, value=b'{"trace_id":"%b"}' % TRACE.encode()), "logs-2024.01.15")
    (first,) = lines.due(0.0)
    assert first.text == (
        "dead letter: document_parsing_exception for the field context.n, such as logs/3/1 for the index "
        "logs-2024.01.15: HTTP 400 failed to parse field [context.n]. `logpipe explain logs/3/1` says more; after "
        "what is wrong has been mended, `logpipe dlq replay` indexes them."
    )
    assert first.trace_id == TRACE
    for offset in range(2, 1000):
        lines.note(letter(offset), "logs-2024.01.15")
        assert lines.due(offset / 20) == []
    (minute,) = lines.due(60.0)
    assert minute.text.startswith("998 dead letters: document_parsing_exception for the field context.n")
    assert minute.context["dead_letters"] == 998
    assert lines.due(120.0) == []


def test_each_reason_has_a_line_and_reasons_have_a_bound() -> None:
    lines = DeadLetterLines()
    for number in range(100):
        lines.note(letter(number, f"field{number}", b"no JSON"), "i")
    due = lines.due(0.0)
    assert len(due) == 21
    assert sum(line.context["dead_letters"] for line in due) == 100
    assert due[-1].context["error_type"] == "other reasons"
    # What is long over makes room.
    assert lines.due(61.0) == []
    lines.note(letter(1, "another"), "i")
    assert [line.context["field"] for line in lines.due(62.0)] == ["another"]


def test_a_summary_of_a_trace_is_named_by_the_trace() -> None:
    lines = DeadLetterLines()
    lines.note(letter(-1)._replace(key=TRACE.encode()), "i")
    (line,) = lines.due(0.0)
    assert f"such as the trace {TRACE} for the index i" in line.text
    assert "`logpipe dlq list` says more" in line.text


def test_at_the_end_the_rest_is_told() -> None:
    lines = DeadLetterLines()
    lines.note(letter(1), "i")
    lines.due(0.0)
    lines.note(letter(2), "i")
    assert [line.context["example"] for line in lines.rest()] == ["logs/3/2"]
    assert lines.rest() == []
