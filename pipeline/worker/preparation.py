"""Before the workers: the servers are looked at, what is found is logged, and one that is away is waited for."""

import asyncio
import logging
from collections.abc import Sequence

from pipeline.errors import ServerUnavailable
from pipeline.install.check import Finding, check_servers
from pipeline.settings import Settings
from pipeline.telemetry.merged import SupervisorTelemetry

__all__ = ["until_servers_answer"]

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 5.0
_LEVELS = {True: logging.INFO, None: logging.INFO, False: logging.WARNING}


async def until_servers_answer(settings: Settings, telemetry: SupervisorTelemetry) -> None:
    """Look again and again until both servers answer; each finding is logged when it is new.

    Raises ServerUnavailable for what does not pass by itself.
    """
    told: set[Finding] = set()
    while True:
        findings = await check_servers(settings)
        for finding in findings:
            if finding not in told:
                log.log(_LEVELS[finding.good], "%s: %s", finding.subject, finding.detail)
        told = set(findings)
        bad = [finding for finding in findings if finding.good is False]
        if refusing := [finding for finding in bad if finding.run == "refuses"]:
            raise ServerUnavailable("; ".join(_in_words(refusing)))
        waiting = [finding for finding in bad if finding.run == "waits"]
        away = {finding.subject for finding in waiting}
        telemetry.wait_for(
            _in_words(waiting), {name: name not in away for name in ("kafka", "elasticsearch")}
        )
        if not waiting:
            return
        await asyncio.sleep(_AGAIN_SECONDS)


def _in_words(findings: Sequence[Finding]) -> list[str]:
    return [f"{finding.subject}: {finding.detail}" for finding in findings]
