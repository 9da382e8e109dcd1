"""The stories of everyday: an API request, a webhook, a scheduled job, a deployment."""

from typing import Any

from pipeline.sample import failures, vocabulary
from pipeline.sample.integration import integration
from pipeline.sample.product import Product
from pipeline.sample.steps import call_github, log_failure, query
from pipeline.sample.trace import Trace
from pipeline.sample.vocabulary import Route

__all__ = ["deployment", "next_story"]

# Of a hundred stories so many, added up; the rest are API requests.
_INTEGRATIONS = 0.035
_WEBHOOKS = 0.30
_JOBS = 0.36

_FIRST_CLIENT_ERROR = 400
_FIRST_SERVER_ERROR = 500
_LAGGING_QUEUE_DEPTH = 1000


def next_story(product: Product, start_ms: int) -> Trace:
    """Tell any story that begins now."""
    chance = product.random()
    if chance < _INTEGRATIONS:
        return integration(product, start_ms)
    if chance < _WEBHOOKS:
        return _webhook(product, start_ms)
    if chance < _JOBS:
        return _job(product, start_ms)
    return _request(product, start_ms)


def deployment(product: Product, start_ms: int) -> Trace:
    """Tell that a release goes out."""
    trace = Trace(product, start_ms)
    trace.log("INFO", vocabulary.DEPLOYMENT, "Deployment started", {"replicas": 6})
    trace.now_ms += product.long_ms(40_000)
    trace.log_timed("INFO", vocabulary.DEPLOYMENT, "Deployment completed", start_ms, {"replicas": 6})
    return trace


def _request(product: Product, start_ms: int) -> Trace:
    """Tell of an API request: authentication, cache or database, answer."""
    route = product.pick(vocabulary.ROUTES)
    on_one = "{integration_id}" in route.route
    trace = Trace(
        product,
        start_ms,
        product.pick(vocabulary.USERS),
        f"int-{10_000 + product.bits(16)}" if on_one else None,
    )
    about = {"method": route.method, "route": route.route}
    country, client = product.pick(vocabulary.COUNTRIES), product.pick(vocabulary.CLIENTS)
    trace.log(
        "INFO", vocabulary.HTTP, "Request received", {**about, "country_iso_code": country, "client": client}
    )
    if product.chance(0.11):
        trace.log("WARN", vocabulary.HTTP, "Deprecated API version requested", {"client": client})
    status = _authenticate(trace) or _answer(trace, route)
    if status >= _FIRST_SERVER_ERROR:
        level, message = "ERROR", "Request failed"
    else:
        level, message = "WARN" if status >= _FIRST_CLIENT_ERROR else "INFO", "Request completed"
    trace.log_timed(level, vocabulary.HTTP, message, start_ms, {**about, "http_status": status})
    return trace


def _authenticate(trace: Trace) -> int:
    """Check the token; return the status of a refusal, or 0."""
    product = trace.product
    began_ms = trace.now_ms
    trace.now_ms += product.duration_ms(2)
    if product.chance(0.035):
        trace.log("WARN", vocabulary.AUTH, "Authentication failed", {"reason": "token_expired"})
        return 401
    if product.chance(0.015):
        trace.log("WARN", vocabulary.AUTH, "Client rate limit exceeded", {"reason": "client_rate_limited"})
        return 429
    trace.log_timed("INFO", vocabulary.AUTH, "Request authenticated", began_ms, {"auth_method": "bearer"})
    return 0


def _answer(trace: Trace, route: Route) -> int:
    """Do what the route is for; return the status of the answer."""
    product = trace.product
    if route.method == "GET":
        hit = product.chance(0.35)
        began_ms = trace.now_ms
        trace.now_ms += product.duration_ms(1)
        trace.log_timed("DEBUG", vocabulary.CACHE, "Cache lookup", began_ms, {"hit": hit})
        if hit:
            trace.now_ms += product.work_ms(route.work_ms / 2)
            return route.http_status
    elif product.chance(0.08):
        trace.log("WARN", vocabulary.HTTP, "Request validation failed", {"reason": "invalid_body"})
        return 422
    if product.chance(product.conditions.request_failure):
        return _fail(trace, route)
    if trace.integration_id and product.chance(0.08):
        query(trace, vocabulary.API_DATABASE, "SELECT", route.db_table, 8)
        return 404
    for left in range(route.queries, 0, -1):
        operation = "SELECT" if left > 1 else route.db_operation
        query(trace, vocabulary.API_DATABASE, operation, route.db_table, 9)
    trace.now_ms += product.work_ms(route.work_ms)
    if product.chance(product.conditions.side_failure):
        _fail_aside(trace, route)
    return route.http_status


def _fail_aside(trace: Trace, route: Route) -> None:
    """Fail in something that the answer does not wait for."""
    if route.method == "GET":
        origin, doing, failure = vocabulary.CACHE, "Cache write failed", failures.CACHE_GONE
    else:
        origin, doing, failure = vocabulary.AUDIT, "Audit event lost", failures.AUDIT_REFUSED
    log_failure(trace, origin, doing, failure, {"route": route.route, "reason": failure.reason})


def _fail(trace: Trace, route: Route) -> int:
    """Fail in the database or in the code; return the status of the answer."""
    product = trace.product
    if product.chance(product.conditions.bug_share):
        failure = failures.RELEASE_BUG
    else:
        failure = product.pick(failures.REQUEST_FAILURES)
    in_database = failure in failures.DATABASE_FAILURES
    trace.now_ms += product.work_ms(250 if in_database else 20)
    log_failure(
        trace,
        vocabulary.API_DATABASE if in_database else vocabulary.HTTP,
        "Query failed" if in_database else "Unhandled exception",
        failure,
        {"route": route.route, "reason": failure.reason},
    )
    return failure.http_status


def _webhook(product: Product, start_ms: int) -> Trace:
    """Tell of a webhook: received, validated, processed from the queue, answered."""
    trace = Trace(product, start_ms)
    about = {"source": "github", "webhook_event": product.pick(vocabulary.WEBHOOK_EVENTS)}
    depth = product.queue_depth(start_ms)
    repository = product.pick(vocabulary.REPOSITORIES)
    trace.log(
        "INFO",
        vocabulary.RECEIVER,
        "Webhook received",
        {**about, "repository": repository, "queue_depth": depth},
    )
    trace.now_ms += product.duration_ms(2)
    if product.chance(0.025):
        why = {**about, "reason": "invalid_signature"}
        trace.log_timed("WARN", vocabulary.VALIDATOR, "Webhook rejected", start_ms, why)
        return _respond(trace, 401)
    trace.log_timed("INFO", vocabulary.VALIDATOR, "Webhook validated", start_ms, {**about})
    trace.now_ms += product.queue_wait_ms(depth)
    if depth > _LAGGING_QUEUE_DEPTH:
        trace.log("WARN", vocabulary.PROCESSOR, "Webhook queue is lagging", {"queue_depth": depth})
    query(trace, vocabulary.WORKER_DATABASE, "INSERT", "webhook_deliveries", 12)
    if product.chance(0.06):
        trace.log("WARN", vocabulary.PROCESSOR, "Delivery seen before", {**about})
    trace.now_ms += product.work_ms(40)
    context: dict[str, Any] = {**about, "queue_depth": product.queue_depth(trace.now_ms)}
    if product.chance(product.conditions.webhook_failure):
        failure = product.pick(failures.WEBHOOK_FAILURES)
        context["reason"] = failure.reason
        context["processing_time_ms"] = trace.now_ms - start_ms
        log_failure(trace, vocabulary.PROCESSOR, "Webhook failed", failure, context)
        return _respond(trace, 500)
    trace.log_timed("INFO", vocabulary.PROCESSOR, "Webhook processed", start_ms, context)
    if product.chance(product.conditions.side_failure):
        failure = product.pick(failures.NOTIFICATION_FAILURES)
        log_failure(
            trace, vocabulary.NOTIFIER, "Notification not delivered", failure, {"reason": failure.reason}
        )
    return _respond(trace, 202)


def _respond(trace: Trace, status: int) -> Trace:
    """Answer a webhook."""
    trace.now_ms += trace.product.duration_ms(1)
    level = "ERROR" if status >= _FIRST_SERVER_ERROR else "WARN" if status >= _FIRST_CLIENT_ERROR else "INFO"
    context = {"method": "POST", "route": "/v1/webhooks/github", "http_status": status}
    trace.log_timed(level, vocabulary.RECEIVER, "Response sent", trace.start_ms, context)
    return trace


def _job(product: Product, start_ms: int) -> Trace:
    """Tell of a scheduled job, which works in the database or asks GitHub."""
    trace = Trace(product, start_ms)
    job, operation, target = product.pick(vocabulary.JOBS)
    trace.log("DEBUG", vocabulary.SCHEDULER, "Job started", {"job": job})
    if operation == "GET":
        call_github(trace, vocabulary.JOB_GITHUB, target)
    else:
        query(trace, vocabulary.JOB_DATABASE, operation, target, 30)
    if product.chance(0.04):
        failure = failures.CONNECTION_LOST
        why = {"job": job, "reason": failure.reason}
        log_failure(trace, vocabulary.SCHEDULER, "Job failed", failure, why)
        return trace
    trace.log_timed("INFO", vocabulary.SCHEDULER, "Job completed", start_ms, {"job": job})
    return trace
