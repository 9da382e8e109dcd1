"""Prometheus itself, on a loopback port, with our rules made quicker, asked by its HTTP API."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp import ClientSession

from tests.monitoring.server_process import running_server

__all__ = ["Prometheus", "quicker", "running_prometheus"]

RULES = Path(__file__).parents[2] / "monitoring/prometheus/rules"
_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(?<=\[)(\d+)([smhd])(?=\])|(?<=offset )(\d+)([smhd])\b")


class Prometheus:
    """A running Prometheus."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session

    async def firing(self) -> dict[str, list[dict[str, str]]]:
        """Give the labels of the alerts that fire now, by the alert's name."""
        found: dict[str, list[dict[str, str]]] = {}
        for alert in (await self._get("/api/v1/alerts"))["alerts"]:
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert["labels"])
        return found

    async def states(self) -> dict[str, str]:
        """Give each alert that is pending or firing now with its state."""
        return {
            alert["labels"]["alertname"]: alert["state"]
            for alert in (await self._get("/api/v1/alerts"))["alerts"]
        }

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Give what an expression is now, series by series."""
        result: list[dict[str, Any]] = (await self._get("/api/v1/query", query=expression))["result"]
        return result

    async def _get(self, path: str, **query: str) -> dict[str, Any]:
        async with self._session.get(path, params=query) as response:
            body = await response.json()
            assert response.status == 200, body
            data: dict[str, Any] = body["data"]
            return data


@asynccontextmanager
async def running_prometheus(
    target: str, directory: Path, *, factor: int, alertmanager: str | None = None
) -> AsyncIterator[Prometheus]:
    """Run Prometheus on one target, `host:port`, while the block lasts; all its times are divided by `factor`.

    What fires is sent to `alertmanager`, where there is one, with the labels that it goes by.
    """
    configuration = _configure(target, directory, factor, alertmanager)
    arguments = [
        f"--config.file={configuration}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--enable-feature=exemplar-storage",
    ]
    async with running_server("prometheus", arguments, directory / "prometheus.log") as session:
        yield Prometheus(session)


def _configure(target: str, directory: Path, factor: int, alertmanager: str | None) -> Path:
    directory.mkdir(parents=True)
    for file in RULES.glob("*.yml"):
        rules = quicker(yaml.safe_load(file.read_text()), factor)
        (directory / file.name).write_text(yaml.safe_dump(rules))
    configuration = directory / "prometheus.yml"
    # Often enough for a rate over what is left of five minutes; a busy machine needs the time to answer.
    often = f"{max(500, 60_000 // factor)}ms"
    managers = [{"static_configs": [{"targets": [alertmanager]}]}] if alertmanager else []
    configuration.write_text(
        yaml.safe_dump(
            {
                "global": {
                    "scrape_interval": often,
                    "scrape_timeout": often,
                    "evaluation_interval": often,
                    "external_labels": {"cluster": "test", "product": "claude-code-bot"},
                },
                "alerting": {"alertmanagers": managers},
                "rule_files": [str(directory / "*.rules.yml")],
                "scrape_configs": [
                    {
                        "job_name": "log-pipeline",
                        "honor_labels": True,
                        "static_configs": [{"targets": [target]}],
                    }
                ],
            }
        )
    )
    return configuration


def quicker(rules: Mapping[str, Any], factor: int) -> dict[str, Any]:
    """Divide every duration in a file of rules: ranges, offsets, `for` and intervals."""

    def divided(match: re.Match[str]) -> str:
        number, unit = match[1] or match[3], match[2] or match[4]
        return f"{int(number) * _MS[unit] // factor}ms"

    groups = []
    for group in rules["groups"]:
        made = [dict(rule, expr=_DURATION.sub(divided, rule["expr"])) for rule in group["rules"]]
        for rule in made:
            for name in ("for", "keep_firing_for"):
                if name in rule:
                    rule[name] = f"{int(rule[name][:-1]) * _MS[rule[name][-1]] // factor}ms"
        groups.append({"name": group["name"], "interval": "500ms", "rules": made})
    return {"groups": groups}
