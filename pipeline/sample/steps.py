"""What happens inside any story: database queries, calls to GitHub and Claude, errors."""

from typing import Any

from pipeline.sample import failures
from pipeline.sample.failures import Failure
from pipeline.sample.trace import Origin, Trace
from pipeline.sample.vocabulary import CLAUDE, MODELS

__all__ = ["call_claude", "call_github", "log_failure", "query"]

_SLOW_QUERY_MS = 100
_MAX_ATTEMPTS = 3
_CLAUDE_BUDGET_LOW = 100
_CUT_OFF = 0.15
_COLD = 0.055
_COLD_FACTOR = 15


def log_failure(trace: Trace, origin: Origin, doing: str, failure: Failure, context: dict[str, Any]) -> None:
    """Write an ERROR with its exception and stack trace."""
    context["exception_type"] = failure.exception_type
    context["stack_trace"] = failure.stack_trace
    trace.log("ERROR", origin, f"{doing}: {failure.exception_type}: {failure.text}", context)


def query(trace: Trace, origin: Origin, operation: str, table: str, median_ms: float) -> None:
    """Ask the database, which takes its time; now and then it has to read from disk."""
    product = trace.product
    took_ms = product.work_ms(median_ms * _COLD_FACTOR if product.chance(_COLD) else median_ms)
    trace.now_ms += took_ms
    context = {
        "db_operation": operation,
        "db_table": table,
        "rows": product.bits(5) if operation == "SELECT" else 1,
        "processing_time_ms": took_ms,
    }
    if took_ms >= _SLOW_QUERY_MS:
        trace.log("WARN", origin, "Slow query", context)
    else:
        trace.log("INFO", origin, "Query executed", context)


def call_claude(trace: Trace, purpose: str, median_ms: float) -> Failure | None:
    """Have Claude do something; return what went wrong in the last attempt, if it did."""
    product = trace.product
    input_tokens = 1500 + product.bits(13)
    trace.log("DEBUG", CLAUDE, "Prompt assembled", {"purpose": purpose, "input_tokens": input_tokens})
    failure = None
    for attempt in range(1, _MAX_ATTEMPTS + 1):
        began_ms = trace.now_ms
        chance = product.random()
        refused = chance < product.conditions.refusal
        failed = refused or chance > 1 - product.conditions.call_failure
        trace.now_ms += product.long_ms(median_ms / 10 if failed else median_ms)
        context: dict[str, Any] = {
            "external_service": "claude-api",
            "purpose": purpose,
            "model": product.pick(MODELS),
            "attempt": attempt,
            "rate_limit_remaining": 0 if refused else product.claude_requests_left(trace.now_ms),
        }
        if not failed:
            context.update(http_status=200, input_tokens=input_tokens, output_tokens=200 + product.bits(11))
            trace.log_timed("INFO", CLAUDE, "Claude API call completed", began_ms, context)
            _warn_about_answer(trace, context["rate_limit_remaining"])
            return None
        failure = failures.REFUSED if refused else product.pick(failures.CLAUDE_FAILURES)
        context["processing_time_ms"] = trace.now_ms - began_ms
        _log_failed_call(trace, CLAUDE, "Claude", failure, context)
        if attempt < _MAX_ATTEMPTS:
            _wait(trace, CLAUDE, "Claude", attempt)
    return failure


def call_github(trace: Trace, origin: Origin, endpoint: str) -> None:
    """Call GitHub, twice if it fails."""
    product = trace.product
    failed = product.chance(product.conditions.call_failure)
    for attempt in (1, 2) if failed else (1,):
        began_ms = trace.now_ms
        trace.now_ms += product.duration_ms(180)
        context: dict[str, Any] = {
            "external_service": "github-api",
            "endpoint": endpoint,
            "attempt": attempt,
            "rate_limit_remaining": product.github_requests_left(trace.now_ms),
            "processing_time_ms": trace.now_ms - began_ms,
        }
        if failed and attempt == 1:
            _log_failed_call(trace, origin, "GitHub", product.pick(failures.GITHUB_FAILURES), context)
            _wait(trace, origin, "GitHub", attempt)
        else:
            context["http_status"] = 200 if endpoint.startswith("GET") else 201
            trace.log("INFO", origin, "GitHub API call completed", context)


def _log_failed_call(
    trace: Trace, origin: Origin, api: str, failure: Failure, context: dict[str, Any]
) -> None:
    """Write the error that a call met."""
    context["http_status"] = failure.http_status
    context["reason"] = failure.reason
    log_failure(trace, origin, f"{api} API call failed", failure, context)


def _wait(trace: Trace, origin: Origin, api: str, attempt: int) -> None:
    """Wait before the next attempt."""
    waits_ms = trace.product.long_ms(2000)
    trace.log(
        "WARN",
        origin,
        f"{api} API call will be tried again",
        {"attempt": attempt, "retry_after_ms": waits_ms},
    )
    trace.now_ms += waits_ms


def _warn_about_answer(trace: Trace, requests_left: int) -> None:
    """Say that the answer was cut off, or that the rate limit is near."""
    if requests_left < _CLAUDE_BUDGET_LOW:
        message = "Claude API rate limit approaching"
        trace.log("WARN", CLAUDE, message, {"rate_limit_remaining": requests_left})
    if trace.product.chance(_CUT_OFF):
        trace.log("WARN", CLAUDE, "Answer reached max_tokens, continuing", {"stop_reason": "max_tokens"})
