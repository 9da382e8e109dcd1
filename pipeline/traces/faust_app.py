"""The Faust application of the correlator: its settings, and how it connects."""

import ssl
from typing import Any

import faust
from faust.types.auth import CredentialsT

from pipeline.kafka.client import connection_options
from pipeline.kafka.trace_events import traces_group
from pipeline.settings import Settings

__all__ = ["make_app"]

# A worker that does not poll for `broker_max_poll_interval` leaves the group for ever, without a word, and not to poll
# is what a worker does that waits for Elasticsearch, or that has no partition.
_NEVER_SECONDS = 1_000_000.0
_MOST_SESSION_SECONDS = 10.0
# Records of 64 kB each, of a partition.
_BUFFERED_RECORDS = 64


def make_app(settings: Settings, folder: str) -> faust.App:
    """Make the application; `folder` is where Faust puts its own, which nothing of ours is in."""
    kafka = settings.kafka
    session = min(kafka.session_timeout_seconds, _MOST_SESSION_SECONDS)
    options: dict[str, Any] = {}
    credentials = _credentials(settings)
    if credentials is not None:
        options["broker_credentials"] = credentials
    if kafka.group_instance_id is not None:
        options["consumer_group_instance_id"] = kafka.group_instance_id
    return faust.App(
        traces_group(settings),
        broker=[f"kafka://{server}" for server in kafka.bootstrap_servers],
        broker_client_id=f"{kafka.client_id}-traces",
        broker_session_timeout=session,
        broker_heartbeat_interval=session / 6,
        broker_max_poll_interval=_NEVER_SECONDS,
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        stream_buffer_maxsize=_BUFFERED_RECORDS,
        topic_disable_leader=True,
        topic_allow_declare=False,
        table_standby_replicas=0,
        web_enabled=False,
        worker_redirect_stdouts=False,
        autodiscover=False,
        datadir=folder,
        **options,
    )


def _credentials(settings: Settings) -> CredentialsT | None:
    """Give Faust what the pipeline's own clients connect with."""
    options = connection_options(settings.kafka)
    context: ssl.SSLContext | None = options["ssl_context"]
    if settings.kafka.uses_sasl:
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            ssl_context=context,
            mechanism=options["sasl_mechanism"],
        )
    return faust.SSLCredentials(context) if context is not None else None
