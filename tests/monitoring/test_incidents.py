"""Incidents in the logs make their alerts fire: live traffic, real servers, a real Prometheus that scrapes us.

All times of the rules are a sixtieth, so that an hour is a minute; thresholds and everything else are as they are.
"""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from pipeline.install.topics import TopicSpec, create_topics
from pipeline.kafka.trace_events import trace_events_topic
from pipeline.sandbox import Servers
from tests.logpipe import logpipe, running
from tests.monitoring.prometheus_process import Prometheus, quicker, running_prometheus
from tests.own_pipeline import Pipeline, own_pipeline

FACTOR = 60
RATE = 250
SECONDS = 60
# For what takes hours: 2 h and 30 min become half a minute and 8 s.
GREAT_FACTOR = 240

# Incident -> the alerts that it must cause, with the service that is said to be concerned.
EXPECTED: dict[str, dict[str, str]] = {
    "error-spike": {
        "HighErrorRate": "api",
        "ErrorBudgetBurnFast": "api",
        "IntegrationFailureSpike": "api",
        "NewErrorFingerprint": "api",
    },
    "api-rate-limit": {"ExternalAPIRateLimit": "worker"},
    "webhook-lag": {"WebhookProcessingLag": "webhooks"},
    "slow-responses": {
        "HighResponseTime": "api",
        "LatencyObjectiveMissed": "api",
        "SlowTraces": "claude-code-bot",
    },
}
# What one incident causes no other does, and the usual traffic does not. IntegrationFailureSpike is none of them: it
# compares with the day before, and there was none. Of the pipeline's own alerts those are left out that a busy
# machine may cause: what takes it a second takes a minute here.
QUIET = {
    "HighErrorRate", "HighResponseTime", "LowIntegrationCreationRate",
    "ExternalAPIRateLimit", "WebhookProcessingLag", "LogPipelineDeadLettersBlocked", "LogPipelineDeadLetters",
    "LogPipelineCommitFailures", "SlowTraces", "TraceErrors", "TracesIncomplete",
}  # fmt: skip
# Alerts of a flow that chance decides here: it has seven traces in a sixtieth of five minutes, and one of twenty fails.
# At their own pace they are quiet: monitoring/prometheus/tests/traces.yml.
BY_CHANCE = {("TraceErrors", "integration_creation"), ("TracesIncomplete", "integration_creation")}
# Several workers appear as one target: for one incident there are two.
WORKERS = {"webhook-lag": ("run", "--workers", "2"), "slow-responses": ("run", "--workers", "1")}
# With a correlator beside the worker.
TRACED = {"slow-responses": {"LOGPIPE_TRACES__ENABLED": "true"}}

UNTIL_QUIET = "LowIntegrationCreationRate"

Seen = dict[str, set[str]]


async def watch(
    servers: Servers,
    incident: str | None,
    directory: Path,
    *,
    seconds: int = SECONDS,
    factor: int = FACTOR,
    until: str | None = None,
) -> Seen:
    """Send live traffic through a pipeline of its own; give the alerts that fired, with their services.

    `until` is an alert that is to fire once the traffic has ended, and not before.
    """
    options = ["--incident", incident] if incident else []
    async with AsyncExitStack() as stack:
        pipeline = await stack.enter_async_context(own_pipeline(servers))
        environment = pipeline.environment(**TRACED.get(incident or "", {}))
        if incident in TRACED:
            topic = TopicSpec(trace_events_topic(pipeline.settings), 4, 1, {})
            await create_topics(pipeline.settings.kafka, [topic])
        stack.enter_context(running(*WORKERS.get(incident or "", ("index",)), settings=environment))
        prometheus = await stack.enter_async_context(
            running_prometheus(f"127.0.0.1:{pipeline.port}", directory, factor=factor)
        )
        await _scraped(prometheus)
        sending = asyncio.create_task(
            asyncio.to_thread(
                logpipe,
                *("generate", "--live", "--rate", str(RATE), "--seconds", str(seconds), *options),
                settings=environment,
            )
        )
        seen: Seen = {}
        while not sending.done():
            await _look(prometheus, seen)
        assert (await sending).returncode == 0
        await _counted(prometheus, pipeline)
        if until is not None:
            assert until not in seen
            async with asyncio.timeout(120):
                while until not in seen:
                    await _look(prometheus, seen)
        return seen


async def _look(prometheus: Prometheus, seen: Seen) -> None:
    for name, alerts in (await prometheus.firing()).items():
        for labels in alerts:
            if (name, labels.get("flow")) not in BY_CHANCE:
                seen.setdefault(name, set()).add(labels.get("service", ""))
    await asyncio.sleep(0.5)


async def _scraped(prometheus: Prometheus) -> None:
    """Wait until the pipeline is up and ready: the rules are about traffic, not about its start."""
    async with asyncio.timeout(60):
        while [series["value"][1] for series in await prometheus.query("min(logpipe_ready)")] != ["1"]:
            await asyncio.sleep(0.2)


async def _counted(prometheus: Prometheus, pipeline: Pipeline) -> None:
    """See that what Prometheus has is what is indexed."""
    async with asyncio.timeout(30):
        while True:
            indexed = sum((await pipeline.counts()).values())
            scraped = await prometheus.query("sum(log_events_total)")
            if indexed and [int(series["value"][1]) for series in scraped] == [indexed]:
                return
            await asyncio.sleep(0.5)


@pytest.mark.timeout(400)
async def test_each_incident_makes_its_alerts_fire_and_no_other(servers: Servers, tmp_path: Path) -> None:
    found = await asyncio.gather(*(watch(servers, incident, tmp_path / incident) for incident in EXPECTED))
    for seen, (incident, expected) in zip(found, EXPECTED.items(), strict=True):
        missing = {name: service for name, service in expected.items() if service not in seen.get(name, ())}
        assert not missing, f"{incident}: fired only {seen}"
        assert not QUIET & seen.keys() - expected.keys(), f"{incident}: {seen}"


@pytest.mark.timeout(400)
async def test_usual_traffic_is_quiet_until_no_integration_is_created_any_more(
    servers: Servers, tmp_path: Path
) -> None:
    seen = await watch(servers, None, tmp_path / "usual", seconds=45, factor=GREAT_FACTOR, until=UNTIL_QUIET)
    assert QUIET & seen.keys() == {UNTIL_QUIET}, seen


def test_every_duration_of_a_rule_is_made_quicker() -> None:
    rules = {
        "groups": [
            {
                "name": "g",
                "interval": "15s",
                "rules": [{"alert": "A", "expr": "rate(a[5m]) > increase(b[1d] offset 1h)", "for": "30s"}],
            }
        ]
    }
    (rule,) = quicker(rules, 60)["groups"][0]["rules"]
    assert rule == {
        "alert": "A", "expr": "rate(a[5000ms]) > increase(b[1440000ms] offset 60000ms)", "for": "500ms",
    }  # fmt: skip
