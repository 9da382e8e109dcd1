"""The ways in which the product fails, with the stack traces it leaves."""

from typing import NamedTuple


class Failure(NamedTuple):
    """One way to fail: the exception, where it came from, and what the caller is told."""

    exception_type: str
    text: str
    stack_trace: str
    http_status: int
    reason: str


def _failure(
    exception: str, text: str, http_status: int, reason: str, *frames: tuple[str, int, str, str]
) -> Failure:
    """Lay out a stack trace as Python does: file, line, function, source."""
    shown = "".join(
        f'  File "/app/{file}", line {line}, in {name}\n    {code}\n' for file, line, name, code in frames
    )
    trace = f"Traceback (most recent call last):\n{shown}{exception}: {text}"
    return Failure(exception.rpartition(".")[2], text, trace, http_status, reason)


_HANDLE = ("app/api/middleware.py", 57, "dispatch", "response = await call_next(request)")
_SESSION = ("app/db/session.py", 41, "execute", "return await self._session.execute(statement, parameters)")
_CLAUDE = ("app/clients/claude.py", 88, "complete", "message = await self._client.messages.create(**request)")
_GITHUB = ("app/clients/github.py", 63, "call", "response = await self._http.request(method, url, json=body)")

POOL_EXHAUSTED = _failure(
    "sqlalchemy.exc.TimeoutError",
    "QueuePool limit of size 20 overflow 10 reached, connection timed out",
    503,
    "database_unavailable",
    _HANDLE,
    _SESSION,
)
CONNECTION_LOST = _failure(
    "sqlalchemy.exc.OperationalError",
    "server closed the connection unexpectedly",
    503,
    "database_unavailable",
    _SESSION,
)
DUPLICATE_KEY = _failure(
    "sqlalchemy.exc.IntegrityError",
    'duplicate key value violates unique constraint "webhook_deliveries_pkey"',
    500,
    "duplicate_delivery",
    _SESSION,
)
RELEASE_BUG = _failure(
    "KeyError",
    "'installation_id'",
    500,
    "internal_error",
    _HANDLE,
    ("app/api/integrations.py", 132, "serialize", 'installation = row["installation_id"]'),
)
NOT_A_MAPPING = _failure(
    "AttributeError",
    "'NoneType' object has no attribute 'get'",
    500,
    "internal_error",
    _HANDLE,
    ("app/api/users.py", 47, "profile", 'plan = account.settings.get("plan")'),
)
CACHE_GONE = _failure(
    "redis.exceptions.ConnectionError",
    "Error 111 connecting to redis:6379. Connection refused.",
    500,
    "cache_unavailable",
    _HANDLE,
    ("app/cache.py", 29, "get", "return await self._redis.get(key)"),
)
BAD_PAYLOAD = _failure(
    "pydantic_core.ValidationError",
    "1 validation error for IssueEvent: issue.user Field required",
    500,
    "payload_unexpected",
    ("app/webhooks/processor.py", 71, "process", "event = IssueEvent.model_validate(payload)"),
)
AUDIT_REFUSED = _failure(
    "asyncio.QueueFull",
    "the queue of audit events is full (1000)",
    500,
    "audit_backlog",
    ("app/audit.py", 36, "record", "self._queue.put_nowait(entry)"),
)
MAIL_REFUSED = _failure(
    "aiosmtplib.SMTPServerDisconnected",
    "Connection lost",
    502,
    "mail_unavailable",
    ("app/notify/mail.py", 52, "send", "await self._smtp.send_message(message)"),
)
CHAT_TIMEOUT = _failure(
    "httpx.ConnectTimeout",
    "timed out after 3.0 s",
    504,
    "timeout",
    ("app/notify/chat.py", 27, "post", "await self._http.post(self._url, json=body)"),
)
NOTIFICATION_FAILURES = (MAIL_REFUSED, CHAT_TIMEOUT)
REQUEST_FAILURES = (POOL_EXHAUSTED, POOL_EXHAUSTED, CONNECTION_LOST, NOT_A_MAPPING, CACHE_GONE)
WEBHOOK_FAILURES = (DUPLICATE_KEY, BAD_PAYLOAD, CONNECTION_LOST)
DATABASE_FAILURES = (POOL_EXHAUSTED, CONNECTION_LOST)

REFUSED = _failure(
    "anthropic.RateLimitError", "Error code: 429 - rate_limit_error", 429, "rate_limited", _CLAUDE
)
CLAUDE_FAILURES = (
    _failure("anthropic.OverloadedError", "Error code: 529 - overloaded_error", 529, "overloaded", _CLAUDE),
    _failure("anthropic.OverloadedError", "Error code: 529 - overloaded_error", 529, "overloaded", _CLAUDE),
    _failure("anthropic.APITimeoutError", "Request timed out.", 504, "timeout", _CLAUDE),
    _failure("anthropic.InternalServerError", "Error code: 500 - api_error", 500, "server_error", _CLAUDE),
)
GITHUB_FAILURES = (
    _failure("httpx.ReadTimeout", "timed out after 10.0 s", 504, "timeout", _GITHUB),
    _failure("github.GithubException", "502 Server Error", 502, "server_error", _GITHUB),
    _failure("github.RateLimitExceededException", "403 secondary rate limit", 403, "rate_limited", _GITHUB),
)

# What ends an integration, for each stage.
STAGE_FAILURES = {
    "requirements_analysis": (
        _failure(
            "RequirementsIncomplete",
            "no acceptance criteria in the issue",
            422,
            "requirements_incomplete",
            ("app/stages/analysis.py", 54, "run", "self._require(criteria)"),
        ),
    ),
    "code_generation": (
        _failure(
            "GeneratedCodeInvalid",
            "the generated module does not compile: unexpected indent (handler.py, line 31)",
            422,
            "code_invalid",
            ("app/stages/generation.py", 118, "run", "compile(source, path, 'exec')"),
        ),
        _failure(
            "GeneratedTestsFailed",
            "4 of 17 generated tests fail",
            422,
            "tests_failed",
            ("app/stages/generation.py", 131, "run", "raise GeneratedTestsFailed(report)"),
        ),
    ),
    "code_review": (
        _failure(
            "ReviewRejected",
            "3 blocking findings after 3 rounds",
            422,
            "review_rejected",
            ("app/stages/review.py", 92, "run", "raise ReviewRejected(findings)"),
        ),
    ),
    "pr_creation": (
        _failure(
            "MergeConflict",
            "the base branch has changed: 2 files in conflict",
            409,
            "merge_conflict",
            ("app/stages/pull_request.py", 66, "run", "await self._push(branch)"),
        ),
    ),
}
