"""The story of an integration: from a GitHub issue to a pull request."""

from collections.abc import Callable
from typing import Any

from pipeline.sample import failures, vocabulary
from pipeline.sample.failures import Failure
from pipeline.sample.product import Product
from pipeline.sample.steps import call_claude, call_github, log_failure, query
from pipeline.sample.trace import Trace

__all__ = ["integration"]

_ISSUE = "GET /repos/{owner}/{repo}/issues/{number}"
_FILES = "GET /repos/{owner}/{repo}/contents/{path}"
_BRANCH = "POST /repos/{owner}/{repo}/git/refs"
_COMMIT = "POST /repos/{owner}/{repo}/git/commits"
_PULL_REQUEST = "POST /repos/{owner}/{repo}/pulls"


def integration(product: Product, start_ms: int) -> Trace:
    """Tell of an integration, which may fail at any stage."""
    trace = Trace(product, start_ms, product.pick(vocabulary.USERS), f"int-{10_000 + product.bits(16)}")
    about = {
        "integration_type": product.pick(vocabulary.INTEGRATION_TYPES),
        "github_issue_id": str(100 + product.bits(13)),
    }
    trace.log(
        "INFO",
        vocabulary.RECEIVER,
        "Webhook received",
        {
            "source": "github",
            "webhook_event": "issues",
            "repository": product.pick(vocabulary.REPOSITORIES),
            "queue_depth": product.queue_depth(start_ms),
            "github_issue_id": about["github_issue_id"],
        },
    )
    trace.now_ms += product.duration_ms(30)
    trace.log(
        "INFO",
        vocabulary.INTEGRATIONS,
        "Integration requested",
        {**about, "title": product.pick(vocabulary.TITLES)},
    )
    query(trace, vocabulary.WORKER_DATABASE, "INSERT", "integrations", 10)

    # An integration that is bound to fail does so at any stage; Claude's refusals may end it as well.
    bound_to_fail = product.chance(product.conditions.integration_failure)
    fails_at = product.pick(vocabulary.STAGE_NAMES) if bound_to_fail else None
    for stage, origin in vocabulary.STAGES:
        began_ms = trace.now_ms
        failure = _STAGE_WORK[stage](trace)
        if failure is None and stage == fails_at:
            failure = product.pick(failures.STAGE_FAILURES[stage])
        context: dict[str, Any] = {"stage": stage}
        if failure is not None:
            context["processing_time_ms"] = trace.now_ms - began_ms
            log_failure(trace, origin, f"Stage {stage} failed", failure, context)
            return _end(trace, f"Integration failed: {failure.text}", {**about, "reason": failure.reason})
        trace.log_timed("INFO", origin, f"Stage {stage} completed", began_ms, context)
    return _end(trace, "Integration created successfully", about)


def _end(trace: Trace, message: str, context: dict[str, Any]) -> Trace:
    """Store the outcome and say it."""
    query(trace, vocabulary.WORKER_DATABASE, "UPDATE", "integrations", 10)
    level = "ERROR" if "reason" in context else "INFO"
    trace.log_timed(level, vocabulary.INTEGRATIONS, message, trace.start_ms, context)
    return trace


def _analyse(trace: Trace) -> Failure | None:
    """Read the issue and the repository, and have the requirements written."""
    call_github(trace, vocabulary.GITHUB, _ISSUE)
    call_github(trace, vocabulary.GITHUB, _FILES)
    return call_claude(trace, "requirements_analysis", 14_000)


def _generate(trace: Trace) -> Failure | None:
    """Have the code written, one module after the other."""
    for _ in range(3 + trace.product.bits(2)):
        failure = call_claude(trace, "code_generation", 26_000)
        if failure is not None:
            return failure
        query(trace, vocabulary.WORKER_DATABASE, "INSERT", "generated_files", 10)
    return None


def _review(trace: Trace) -> Failure | None:
    """Have the code reviewed, and corrected if something was found."""
    failure = call_claude(trace, "code_review", 18_000)
    if failure is None and trace.product.chance(0.4):
        findings = 1 + trace.product.bits(2)
        trace.log("WARN", vocabulary.REVIEWER, "Review found issues", {"findings": findings})
        failure = call_claude(trace, "code_generation", 20_000)
    return failure


def _create_pull_request(trace: Trace) -> Failure | None:
    """Push the code and open the pull request."""
    for endpoint in (_BRANCH, _COMMIT, _PULL_REQUEST):
        call_github(trace, vocabulary.GITHUB, endpoint)
    trace.log(
        "INFO",
        vocabulary.PR_CREATOR,
        "Pull request created",
        {"pull_request_number": 1 + trace.product.bits(12)},
    )
    return None


_STAGE_WORK: dict[str, Callable[[Trace], Failure | None]] = {
    "requirements_analysis": _analyse,
    "code_generation": _generate,
    "code_review": _review,
    "pr_creation": _create_pull_request,
}
