"""The words of the product: its parts, routes, users, integrations."""

from typing import NamedTuple

from pipeline.sample.trace import Origin

HTTP = Origin("api", "http_server")
AUTH = Origin("api", "auth_middleware")
CACHE = Origin("api", "cache")
API_DATABASE = Origin("api", "database")
AUDIT = Origin("api", "audit")
INTEGRATIONS = Origin("api", "integration_service")
RECEIVER = Origin("webhooks", "webhook_receiver")
VALIDATOR = Origin("webhooks", "webhook_validator")
PROCESSOR = Origin("worker", "webhook_processor")
NOTIFIER = Origin("worker", "notifier")
WORKER_DATABASE = Origin("worker", "database")
ANALYZER = Origin("worker", "requirements_analyzer")
GENERATOR = Origin("worker", "code_generator")
REVIEWER = Origin("worker", "code_reviewer")
PR_CREATOR = Origin("worker", "pr_creator")
CLAUDE = Origin("worker", "claude_client")
GITHUB = Origin("worker", "github_client")
SCHEDULER = Origin("scheduler", "job_runner")
JOB_DATABASE = Origin("scheduler", "database")
JOB_GITHUB = Origin("scheduler", "github_client")
DEPLOYMENT = Origin("deploy", "deployment")

STAGES = (
    ("requirements_analysis", ANALYZER),
    ("code_generation", GENERATOR),
    ("code_review", REVIEWER),
    ("pr_creation", PR_CREATOR),
)
STAGE_NAMES = tuple(stage for stage, _ in STAGES)


class Route(NamedTuple):
    """A route of the API, as a template, and what it takes to answer it."""

    method: str
    route: str
    http_status: int
    db_operation: str
    db_table: str
    queries: int
    work_ms: int


ROUTES = (
    *[Route("GET", "/v1/integrations", 200, "SELECT", "integrations", 1, 18)] * 6,
    *[Route("GET", "/v1/integrations/{integration_id}", 200, "SELECT", "integrations", 2, 14)] * 5,
    *[Route("GET", "/v1/integrations/{integration_id}/logs", 200, "SELECT", "integration_logs", 2, 40)] * 2,
    *[Route("GET", "/v1/users/me", 200, "SELECT", "users", 1, 8)] * 3,
    Route("GET", "/v1/webhooks", 200, "SELECT", "webhook_deliveries", 1, 22),
    Route("GET", "/v1/usage", 200, "SELECT", "usage_reports", 3, 60),
    *[Route("POST", "/v1/auth/token", 200, "SELECT", "users", 2, 45)] * 2,
    *[Route("POST", "/v1/integrations", 201, "INSERT", "integrations", 3, 35)] * 2,
    Route("PATCH", "/v1/integrations/{integration_id}", 200, "UPDATE", "integrations", 2, 24),
    Route("DELETE", "/v1/integrations/{integration_id}", 204, "DELETE", "integrations", 2, 20),
)


def _by_weight(**weights: int) -> tuple[str, ...]:
    """Repeat each word as often as it shall be picked."""
    return tuple(word for word, weight in weights.items() for _ in range(weight))


# Few users do most: number n of 400 is met the less often the greater n is.
USERS = tuple(f"user-{100 + int(400 * (step / 2000) ** 2.5)}" for step in range(2000))
COUNTRIES = _by_weight(
    US=8, DE=6, IN=6, GB=4, FR=4, NL=2, PL=2, BR=2, JP=2, CA=2, AU=2, ES=2, SE=1, KZ=1, RS=1
)
INTEGRATION_TYPES = _by_weight(
    slack=5, jira=3, telegram=3, discord=2, notion=2, stripe=2, google_sheets=1, salesforce=1, hubspot=1
)
CLIENTS = (
    "web/3.4.1",
    "web/3.4.1",
    "web/3.4.0",
    "cli/1.2.0",
    "cli/1.2.0",
    "sdk-python/0.9.3",
    "sdk-js/0.8.0",
)
TITLES = (
    "Post release notes to a channel",
    "Sync tickets both ways",
    "Notify on failed payments",
    "Añadir avisos de facturación",
    "Export the weekly report",
    "Slack 連携を追加",
    "Mirror comments as messages",
    "Create a page for each incident",
)
REPOSITORIES = (
    "acme/storefront",
    "acme/billing",
    "northwind/crm",
    "globex/portal",
    "initech/reports",
    "umbrella/lab",
)
WEBHOOK_EVENTS = _by_weight(
    push=4, check_run=4, pull_request=3, issue_comment=3, pull_request_review=1, installation=1
)
MODELS = ("claude-sonnet-4-5", "claude-sonnet-4-5", "claude-sonnet-4-5", "claude-opus-4-1")
JOBS = (
    ("cleanup_expired_tokens", "DELETE", "access_tokens"),
    ("refresh_usage_report", "INSERT", "usage_reports"),
    ("requeue_stuck_webhooks", "UPDATE", "webhook_deliveries"),
    ("archive_integration_logs", "DELETE", "integration_logs"),
    ("sync_github_installations", "GET", "GET /app/installations"),
)
