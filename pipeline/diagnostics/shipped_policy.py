"""The lifecycle that `logpipe setup` installs, as a plan sees it."""

import json

from pipeline.diagnostics.capacity import Phase, policy_phases
from pipeline.diagnostics.prognosis import age_days
from pipeline.install.resources import resource_file

__all__ = ["shipped_phases"]


def shipped_phases() -> tuple[Phase, ...]:
    """Read the phases of the policy, and the replicas that the template's indices begin with."""
    policy = json.loads(resource_file("ilm", "claude-code-bot-policy").read_text("utf-8"))
    template = json.loads(resource_file("mappings", "claude-code-bot@settings").read_text("utf-8"))
    ages = {name: age_days(phase["min_age"]) for name, phase in policy["policy"]["phases"].items()}
    return policy_phases(policy, ages, int(template["template"]["settings"]["index.number_of_replicas"]))
