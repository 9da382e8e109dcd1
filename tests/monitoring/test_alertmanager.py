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
        (["severity=unheard-of"], "default"),
        ([], "default"),
    ],
)
@pytest.mark.parametrize("file", [ALERTMANAGER, LOCAL], ids=lambda file: file.stem)
def test_routes(file: Path, labels: list[str], receiver: str) -> None:
    routed = amtool("config", "routes", "test", f"--config.file={file}", "alertname=A", *labels)
    assert routed.stdout.split() == [receiver], routed.stderr


def test_every_severity_of_the_rules_has_a_route() -> None:
    assert {alert.labels["severity"] for alert in ALERTS} == {"critical", "high", "medium", "low"}
    assert {alert.labels["severity"] for alert in ALERTS} <= severities_with_a_route()


def test_critical_alerts_wait_for_nothing_and_are_not_grouped() -> None:
    route = configuration(ALERTMANAGER)["route"]
    critical = route["routes"][0]
    assert critical["matchers"] == ['severity="critical"']
    assert critical["group_by"] == ["..."]
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


def test_secrets_are_in_files_only() -> None:
    text = ALERTMANAGER.read_text()
    assert "hooks.slack.com" not in text
    assert not re.search(r"^\s*(- )?(api_url|slack_api_url|routing_key|service_key):", text, re.MULTILINE)
    files = re.findall(r"_file: (\S+)", text)
    assert len(files) == 3
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
                labels("HighErrorRate", "critical", "api"),
                labels("Unlabelled", "medium", ""),
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
                labels("DatabaseDown", "critical", "postgres"),
            ],
            id="a service that is down over its error rate",
        ),
        pytest.param(
            PRODUCT_DOWN,
            [labels("HighErrorRate", "critical", "api"), labels("ErrorBudgetBurnFast", "critical", "worker")],
            [
                labels("HighErrorRate", "critical", "api", product="another"),
                labels("DatabaseDown", "critical", "postgres"),
                labels("DiskSpaceRunningOut", "high", "infrastructure"),
            ],
            id="the product that is down over every error rate",
        ),
        pytest.param(
            PIPELINE_DOWN,
            [labels("LowIntegrationCreationRate", "medium", "claude-code-bot")],
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

    async def take(self, request: web.Request) -> web.Response:
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


def hurried(file: Path, pagerduty: str) -> None:
    """Take the waiting out of the routes, and let P3 come at any hour."""
    config = configuration(file)
    for route in [config["route"], *config["route"]["routes"]]:
        route.pop("active_time_intervals", None)
        route["group_interval"] = "1s"
        if "group_wait" in route:
            route["group_wait"] = "0s" if route["group_wait"] == "0s" else "1s"
    config["global"]["pagerduty_url"] = pagerduty
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
    hurried(file, f"{url}/pagerduty")
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


async def test_critical_alerts_come_one_by_one(told: tuple[Alertmanager, Channels]) -> None:
    alertmanager, channels = told
    await alertmanager.tell(
        [
            labels("DatabaseDown", "critical", "postgres", instance=f"postgres-{number}")
            for number in range(3)
        ],
        annotations=ANNOTATIONS,
    )
    await until(channels.number, lambda number: number >= 6)
    titles = [one["attachments"][0]["title"] for one in channels.sent["/slack/critical"]]
    assert titles == ["[1 firing] DatabaseDown of postgres"] * 3
