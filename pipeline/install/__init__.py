"""`logpipe setup`: bring topics, templates and the ILM policy to the state that the pipeline needs."""

from pipeline.install.plan import Change
from pipeline.install.resources import Kind, Resource, load_resources
from pipeline.install.setup import SetupResult, run_setup

__all__ = ["Change", "Kind", "Resource", "SetupResult", "load_resources", "run_setup"]
