"""Alertmanager's configuration: judged by amtool, and run by Alertmanager itself."""

import asyncio
import re
import subprocess
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from aiohttp import web

from tests.monitoring.alerting import ALERTMANAGER, ALERTS, severities_with_a_route
from tests.monitoring.alertmanager_process import Alertmanager, running_alertmanager
from tests.monitoring.tools import find

LOCAL = ALERTMANAGER.with_name("alertmanager-local.yml")
INSTALLED = "/etc/alertmanager"

Configuration = dict[str, Any]
T = TypeVar("T")


def configuration(file: Path) -> Configuration:
    loaded: Configuration = yaml.safe_load(file.read_text())
    return loaded


def at_home(file: Path, directory: Path) -> Path:
    """Write the configuration as if what is installed in /etc were in the directory."""
    (directory / "secrets").mkdir()
    (directory / "templates").symlink_to(ALERTMANAGER.parent / "templates")
    copy = directory / file.name
    copy.write_text(file.read_text().replace(INSTALLED, str(directory)))
    return copy


def amtool(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([find("amtool"), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("file", [ALERTMANAGER, LOCAL], ids=lambda file: file.stem)
def test_the_configuration_and_its_templates_are_valid(file: Path, tmp_path: Path) -> None:
    checked = amtool("check-config", at_home(file, tmp_path))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert ("1 templates" in checked.stdout) == (file is ALERTMANAGER)


def test_a_receiver_that_is_not_there_would_be_noticed(tmp_path: Path) -> None:
    copy = tmp_path / "alertmanager.yml"
    copy.write_text(LOCAL.read_text().replace("  - name: default\n", ""))
    checked = amtool("check-config", copy)
    assert checked.returncode != 0
    assert 'undefined receiver "default"' in checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["severity=critical"], "critical-immediate"),
        (["severity=high"], "high-alerts"),
        (["severity=medium"], "warning-alerts"),
        (["severity=warning"], "warning-alerts"),
        (["severity=low"], "low-alerts"),
        (["severity=info"], "low-alerts"),
        (["severity=low", "alertname=AlertsOutsideBusinessHours"], "low-digest"),
        (["severity=none", "alertname=Watchdog"], "watchdog"),
        (["severity=unheard-of"], "default"),
        ([], "default"),
    ],
)
@pytest.mark.parametrize("file", [ALERTMANAGER, LOCAL], ids=lambda file: file.stem)
def test_routes(file: Path, labels: list[str], receiver: str) -> None:
    named = labels if any(label.startswith("alertname=") for label in labels) else ["alertname=A", *labels]
    routed = amtool("config", "routes", "test", f"--config.file={file}", *named)
    assert routed.stdout.split() == [receiver], routed.stderr


def test_every_severity_of_the_rules_has_a_route() -> None:
    assert {alert.labels["severity"] for alert in ALERTS} == {"critical", "high", "medium", "low", "none"}
    assert {
        alert.labels["severity"] for alert in ALERTS if alert.name != "Watchdog"
    } <= severities_with_a_route()


def test_critical_alerts_wait_for_nothing_and_are_grouped_as_the_guide_says() -> None:
    route = configuration(ALERTMANAGER)["route"]
    (critical,) = (one for one in route["routes"] if one["matchers"] == ['severity="critical"'])
    assert "group_by" not in critical, "by cluster, service and alert, as all others"
    assert (critical["group_wait"], critical["group_interval"], critical["repeat_interval"]) == (
        "0s",
        "30s",
        "5m",
    )
    assert route["group_by"] == ["cluster", "service", "alertname"]
    assert (route["group_wait"], route["group_interval"], route["repeat_interval"]) == ("5m", "10m", "4h")


def test_the_local_variant_differs_in_nothing_but_in_telling_nobody() -> None:
    ours, local = configuration(ALERTMANAGER), configuration(LOCAL)
    for part in ("global", "route", "time_intervals", "inhibit_rules"):
        assert local[part] == ours[part], part
    assert local["receivers"] == [{"name": receiver["name"]} for receiver in ours["receivers"]]


def matched(matcher: str) -> tuple[str, list[str]]:
    """Split a matcher into its label and the values that it names."""
    label, _, values = re.fullmatch(r'(\w+)(=~?|!=)"([^"]*)"', matcher).groups()  # type: ignore[union-attr]
    return label, values.split("|")


def test_what_another_critical_alert_may_explain_waits_for_that_one() -> None:
    """Both may begin within the same second: the page would be out before its cause is known."""
    config = configuration(ALERTMANAGER)
    critical = {alert.name for alert in ALERTS if alert.labels["severity"] == "critical"}
    explained = {
        name
        for rule in config["inhibit_rules"]
        for label, values in map(matched, rule["target_matchers"])
        if label == "alertname"
        for value in values
        for name in critical
        if re.fullmatch(value, name)
    }
    (route,) = (one for one in config["route"]["routes"] if one["matchers"] == ['severity="critical"'])
    (waiting,) = route["routes"]
    assert set(matched(waiting["matchers"][0])[1]) == explained
    assert waiting["group_wait"] == "10s"


def test_secrets_are_in_files_only() -> None:
    text = ALERTMANAGER.read_text()
    assert "hooks.slack.com" not in text
    assert not re.search(r"^\s*(- )?(api_url|slack_api_url|routing_key|service_key):", text, re.MULTILINE)
    files = re.findall(r"_file: (\S+)", text)
    assert len(files) == 4
    assert all(file.startswith(f"{INSTALLED}/secrets/") for file in files)


def labels(name: str, severity: str, service: str, **more: str) -> dict[str, str]:
    found = {
        "alertname": name,
        "severity": severity,
        "service": service,
        "product": "claude-code-bot",
        **more,
    }
    return {label: value for label, value in found.items() if value}


SERVICE_DOWN = labels("ServiceDown", "critical", "api")
PRODUCT_DOWN = labels("ServiceDown", "critical", "claude-code-bot")
LATENCY = labels("HighResponseTime", "critical", "api")
PIPELINE_DOWN = labels("LogPipelineDown", "critical", "log-pipeline")
ERROR_RATE = labels("HighErrorRate", "critical", "api")
DATABASE_DOWN = labels("DatabaseDown", "critical", "postgres")
FLOOD = labels("LogPipelineDeadLetterFlood", "critical", "log-pipeline")
DIGEST = labels("AlertsOutsideBusinessHours", "low", "api", ended="NewErrorFingerprint")


@pytest.mark.parametrize(
    ("source", "suppressed", "told"),
    [
        pytest.param(
            LATENCY,
            [
                labels("ErrorBudgetBurnSlow", "high", "api"),
                labels("LatencyObjectiveMissed", "medium", "api", objective="P95 < 500ms"),
                labels("Some", "warning", "api"),
                labels("NewErrorFingerprint", "low", "api"),
            ],
            [
                labels("LatencyObjectiveMissed", "medium", "worker"),
                labels("LatencyObjectiveMissed", "medium", "api", product="another"),
                labels("DiskSpaceRunningOut", "high", "infrastructure"),
                labels("AnotherCritical", "critical", "api"),
                labels("Unlabelled", "medium", ""),
                DIGEST,
            ],
            id="critical over the lesser ones of the same service",
        ),
        pytest.param(
            SERVICE_DOWN,
            [
                labels("HighErrorRate", "critical", "api"),
                labels("HighResponseTime", "critical", "api"),
                labels("ErrorBudgetBurnFast", "critical", "api"),
            ],
            [
                labels("HighErrorRate", "critical", "worker"),
                labels("HighErrorRate", "critical", "api", product="another"),
                PIPELINE_DOWN,
            ],
            id="a service that is down over its error rate",
        ),
        pytest.param(
            PRODUCT_DOWN,
            [
                SERVICE_DOWN,
                labels("ServiceDown", "critical", "worker"),
                labels("HighErrorRate", "critical", "api"),
                labels("ErrorBudgetBurnFast", "critical", "worker"),
                labels("TargetDown", "medium", "api"),
            ],
            [
                labels("HighErrorRate", "critical", "api", product="another"),
                labels("DatabaseDown", "critical", "postgres"),
                labels("DiskSpaceRunningOut", "high", "infrastructure"),
            ],
            id="the product that is down over every error rate",
        ),
        pytest.param(
            ERROR_RATE,
            [
                labels("ErrorBudgetBurnFast", "critical", "api"),
                labels("HighResponseTime", "critical", "api"),
                labels("ErrorBudgetBurnSlow", "high", "api"),
            ],
            [labels("ErrorBudgetBurnFast", "critical", "worker"), PIPELINE_DOWN],
            id="an error rate over what it burns",
        ),
        pytest.param(
            DATABASE_DOWN,
            [
                labels("HighErrorRate", "critical", "api"),
                labels("HighResponseTime", "critical", "worker"),
                labels("ErrorBudgetBurnFast", "critical", "api"),
            ],
            [labels("HighErrorRate", "critical", "api", product="another"), SERVICE_DOWN],
            id="a database that is down over the errors of the services",
        ),
        pytest.param(
            FLOOD,
            [labels("LogPipelineNotIndexing", "critical", "log-pipeline")],
            [labels("HighErrorRate", "critical", "api")],
            id="a flood of refusals over the standstill that it causes",
        ),
        pytest.param(
            PIPELINE_DOWN,
            [
                labels("LogPipelineNotIndexing", "critical", "log-pipeline"),
                labels("LowIntegrationCreationRate", "medium", "claude-code-bot"),
                labels("ServiceSilent", "medium", "api"),
            ],
            [labels("HighErrorRate", "critical", "api"), labels("HighCPUUsage", "medium", "claude-code-bot")],
            id="a pipeline that is down over what is not counted then",
        ),
        pytest.param(
            labels("Unlabelled", "critical", ""),
            [],
            [labels("HighCPUUsage", "medium", ""), labels("HighCPUUsage", "medium", "claude-code-bot")],
            id="an alert without a service over nothing",
        ),
    ],
)
async def test_inhibition(
    source: dict[str, str], suppressed: list[dict[str, str]], told: list[dict[str, str]], tmp_path: Path
) -> None:
    # This pair is always suppressed: when it is, Alertmanager has looked at what was sent with it.
    witness = [labels("Witness", "critical", "witness"), labels("Witnessed", "low", "witness")]
    async with running_alertmanager(LOCAL, tmp_path) as alertmanager:
        await alertmanager.tell([*witness, source, *suppressed, *told])

        async def silent() -> list[str]:
            return [
                repr(sorted(alert["labels"].items()))
                for alert in await alertmanager.alerts()
                if alert["status"]["inhibitedBy"]
            ]

        expected = {repr(sorted(each.items())) for each in [witness[1], *suppressed]}
        await until(silent, lambda found: expected <= set(found))
        assert set(await silent()) == expected


async def until(ask: Callable[[], Awaitable[T]], good: Callable[[T], bool]) -> None:
    """Ask until the answer is good; the time limit of the test ends what never is."""
    while not good(await ask()):
        await asyncio.sleep(0.05)


class Channels:
    """Stands in for Slack and PagerDuty, which are services that nobody can run: keeps what they are sent."""

    def __init__(self) -> None:
        self.sent: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.tokens: dict[str, set[str]] = defaultdict(set)

    async def take(self, request: web.Request) -> web.Response:
        self.tokens[request.path].add(request.headers.get("Authorization", ""))
        self.sent[request.path].append(await request.json())
        return web.json_response({"status": "success"}, status=202 if "pagerduty" in request.path else 200)

    async def reached(self) -> set[str]:
        return set(self.sent)

    async def number(self) -> int:
        return sum(map(len, self.sent.values()))


@pytest.fixture
async def channels() -> AsyncIterator[tuple[Channels, str]]:
    channels = Channels()
    application = web.Application()
    application.router.add_post("/{path:.*}", channels.take)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield channels, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def hurried(file: Path, pagerduty: str, watchdog: str) -> None:
    """Take the waiting out of the routes, and let P3 come at any hour."""
    config = configuration(file)

    def hurry(route: Configuration) -> None:
        route.pop("active_time_intervals", None)
        route["group_interval"] = "1s"
        if "group_wait" in route:
            route["group_wait"] = "0s" if route["group_wait"] == "0s" else "1s"
        for child in route.get("routes", []):
            hurry(child)

    hurry(config["route"])
    config["global"]["pagerduty_url"] = pagerduty
    (webhook,) = (hook for one in config["receivers"] for hook in one.get("webhook_configs", []))
    webhook["url"] = watchdog
    file.write_text(yaml.safe_dump(config))


ANNOTATIONS = {
    "summary": "Something is the matter",
    "description": "It is more than it should be",
    "runbook_url": "https://docs.claude-code-bot.com/runbooks/high-error-rate",
}


@pytest.fixture
async def told(
    channels: tuple[Channels, str], tmp_path: Path
) -> AsyncIterator[tuple[Alertmanager, Channels]]:
    kept, url = channels
    file = at_home(ALERTMANAGER, tmp_path)
    (tmp_path / "secrets/slack-critical-url").write_text(f"{url}/slack/critical")
    (tmp_path / "secrets/slack-warnings-url").write_text(f"{url}/slack/warnings\n")
    (tmp_path / "secrets/pagerduty-routing-key").write_text("0123456789abcdef\n")
    (tmp_path / "secrets/watchdog-token").write_text("of-the-watchdog\n")
    hurried(file, f"{url}/pagerduty", f"{url}/watchdog")
    async with running_alertmanager(file, tmp_path) as alertmanager:
        yield alertmanager, kept


@pytest.mark.parametrize(
    ("severity", "slack", "color", "pagerduty"),
    [
        ("critical", "/slack/critical", "danger", "critical"),
        ("high", "/slack/critical", "danger", "error"),
        ("medium", "/slack/warnings", "warning", None),
        ("low", "/slack/warnings", "warning", None),
        ("unheard-of", "/slack/warnings", "warning", None),
    ],
)
async def test_who_is_told_what(
    severity: str, slack: str, color: str, pagerduty: str | None, told: tuple[Alertmanager, Channels]
) -> None:
    alertmanager, channels = told
    one = labels("HighErrorRate", severity, "api", cluster="production", priority="P0")
    await alertmanager.tell([one], annotations=ANNOTATIONS)
    wanted = {slack} | ({"/pagerduty"} if pagerduty else set())
    await until(channels.reached, lambda found: wanted <= found)
    assert set(channels.sent) == wanted

    message = channels.sent[slack][0]["attachments"][0]
    assert message["color"] == color
    assert message["title"] == "[1 firing, P0] HighErrorRate of api in production"
    assert message["title_link"] == ANNOTATIONS["runbook_url"]
    assert message["text"] == (
        f"*{ANNOTATIONS['summary']}*\n{ANNOTATIONS['description']}\n{ANNOTATIONS['runbook_url']}\n"
    )
    if pagerduty:
        event = channels.sent["/pagerduty"][0]
        assert event["routing_key"] == "0123456789abcdef"
        assert event["event_action"] == "trigger"
        payload = event["payload"]
        assert payload["severity"] == pagerduty
        assert payload["summary"] == message["title"]
        assert (payload["component"], payload["class"], payload["group"]) == (
            "api",
            "HighErrorRate",
            "production",
        )
        assert payload["custom_details"]["firing"] == "1"
        assert payload["custom_details"]["runbook"] == ANNOTATIONS["runbook_url"]


async def test_the_end_is_told_too(told: tuple[Alertmanager, Channels]) -> None:
    alertmanager, channels = told
    one = labels("HighErrorRate", "critical", "api", cluster="production", priority="P0")
    await alertmanager.tell([one], annotations=ANNOTATIONS)
    await until(channels.reached, lambda found: len(found) == 2)
    await alertmanager.tell([one], annotations=ANNOTATIONS, ends_at=datetime.now(UTC) - timedelta(seconds=1))
    await until(channels.number, lambda number: number >= 4)
    message = channels.sent["/slack/critical"][-1]["attachments"][0]
    assert message["title"] == "[resolved, P0] HighErrorRate of api in production"
    assert message["color"] == "good"
    assert "(resolved)" in message["text"]
    assert channels.sent["/pagerduty"][-1]["event_action"] == "resolve"


async def test_alerts_of_one_kind_and_service_come_in_one_message(
    told: tuple[Alertmanager, Channels],
) -> None:
    alertmanager, channels = told
    pods = [labels("HighCPUUsage", "medium", "claude-code-bot", pod=f"api-{number}") for number in range(3)]
    await alertmanager.tell(pods, annotations=ANNOTATIONS)
    await until(channels.reached, bool)
    title = channels.sent["/slack/warnings"][0]["attachments"][0]["title"]
    assert title == "[3 firing] HighCPUUsage of claude-code-bot"


async def test_critical_alerts_of_one_kind_and_service_are_one_page(
    told: tuple[Alertmanager, Channels],
) -> None:
    alertmanager, channels = told
    await alertmanager.tell(
        [
            labels("DatabaseDown", "critical", "postgres", instance=f"postgres-{number}")
            for number in range(3)
        ],
        annotations=ANNOTATIONS,
    )

    async def newest() -> str:
        page = channels.sent["/slack/critical"]
        return page[-1]["attachments"][0]["title"] if page else ""

    # Nothing is waited for: the first message may go out before all three have come.
    await until(newest, lambda title: title == "[3 firing] DatabaseDown of postgres")
    assert len({event["dedup_key"] for event in channels.sent["/pagerduty"]}) == 1


async def test_one_error_spike_is_one_page(told: tuple[Alertmanager, Channels]) -> None:
    alertmanager, channels = told
    await alertmanager.tell(
        [
            labels("ErrorBudgetBurnFast", "critical", "api"),
            labels("ErrorBudgetBurnSlow", "high", "api"),
            labels("HighResponseTime", "critical", "api"),
            labels("NewErrorFingerprint", "low", "api"),
            labels("HighErrorRate", "critical", "api"),
            labels("Witness", "medium", "witness"),
        ],
        annotations=ANNOTATIONS,
    )
    # All wait for a second here; whoever was told after the witness would have been told by then.
    await until(channels.reached, lambda found: {"/pagerduty", "/slack/warnings"} <= found)
    await alertmanager.tell([labels("Witness", "medium", "second-witness")], annotations=ANNOTATIONS)
    await until(channels.number, lambda number: number >= 4)
    titles = {
        one["attachments"][0]["title"]
        for sent in ("critical", "warnings")
        for one in channels.sent[f"/slack/{sent}"]
    }
    assert titles == {
        "[1 firing] HighErrorRate of api",
        "[1 firing] Witness of witness",
        "[1 firing] Witness of second-witness",
    }
    assert {event["payload"]["class"] for event in channels.sent["/pagerduty"]} == {"HighErrorRate"}


async def test_the_watchdog_is_told_that_all_is_well(told: tuple[Alertmanager, Channels]) -> None:
    alertmanager, channels = told
    await alertmanager.tell([labels("Watchdog", "none", "prometheus")], annotations=ANNOTATIONS)
    await until(channels.reached, bool)
    assert set(channels.sent) == {"/watchdog"}
    assert channels.tokens["/watchdog"] == {"Bearer of-the-watchdog"}
    assert channels.sent["/watchdog"][0]["status"] == "firing"


def open_for_business(file: Path, *, now: bool) -> None:
    """Shift the business hours: they are now, or they are at another time of the day."""
    config = configuration(file)
    hour = (datetime.now(UTC).hour + 12) % 24
    hours = {"start_time": f"{hour:02}:00", "end_time": f"{hour + 1:02}:00"}
    if now:
        hours = {"start_time": "00:00", "end_time": "24:00"}
    config["time_intervals"] = [{"name": "business-hours", "time_intervals": [{"times": [hours]}]}]
    config["route"]["routes"][-1]["active_time_intervals"] = ["business-hours"]
    file.write_text(yaml.safe_dump(config))


async def test_p3_that_comes_at_night_is_told_when_business_hours_begin(
    told: tuple[Alertmanager, Channels], tmp_path: Path
) -> None:
    alertmanager, channels = told
    file = tmp_path / ALERTMANAGER.name
    open_for_business(file, now=False)
    await alertmanager.reload()
    lasting, ended = (labels(name, "low", "api") for name in ("LogMetricsFolded", "NewErrorFingerprint"))
    await alertmanager.tell([lasting, ended, labels("Witness", "medium", "witness")], annotations=ANNOTATIONS)
    await until(channels.number, lambda number: number >= 1)
    await alertmanager.tell(
        [ended], annotations=ANNOTATIONS, ends_at=datetime.now(UTC) - timedelta(seconds=1)
    )
    await alertmanager.tell([labels("Witness", "medium", "second-witness")], annotations=ANNOTATIONS)
    await until(channels.number, lambda number: number >= 2)
    told_at_night = [one["attachments"][0]["title"] for one in channels.sent["/slack/warnings"]]
    assert told_at_night == ["[1 firing] Witness of witness", "[1 firing] Witness of second-witness"]

    open_for_business(file, now=True)
    await alertmanager.reload()
    # What Prometheus' rule makes of what has ended; monitoring/prometheus/tests/platform.yml shows that it does.
    await alertmanager.tell([DIGEST], annotations={**ANNOTATIONS, "summary": "NewErrorFingerprint fired"})
    await until(channels.number, lambda number: number >= 4)
    told_at_day = {one["attachments"][0]["title"] for one in channels.sent["/slack/warnings"][2:]}
    assert told_at_day == {
        "[1 firing] LogMetricsFolded of api",
        "[1 firing] AlertsOutsideBusinessHours of api",
    }
