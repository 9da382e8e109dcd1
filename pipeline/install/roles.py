"""The least that each command may be allowed: roles for Elasticsearch and ACLs for Kafka, from the settings."""

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.bulk.new_errors import fingerprints_index
from pipeline.encode.run_filters import targets_of
from pipeline.events.indices import log_index_patterns
from pipeline.install.topics import wanted_topics
from pipeline.kafka.trace_events import trace_events_topic, traces_group
from pipeline.settings import Kafka, Settings

if TYPE_CHECKING:
    from pipeline.encode.routing import Targets

__all__ = ["Acl", "Role", "describe_roles", "elasticsearch_roles", "kafka_acls"]


class Role(NamedTuple):
    """A role of Elasticsearch: `PUT /_security/role/<name>` takes the descriptor as it is."""

    name: str
    purpose: str
    descriptor: dict[str, Any]


class Acl(NamedTuple):
    """One call of Kafka's `kafka-acls.sh`."""

    purpose: str
    principal: str
    operations: Sequence[str]
    topics: Sequence[str] = ()
    groups: Sequence[str] = ()
    prefixed: bool = False
    """Topics are beginnings of names."""

    def arguments(self) -> list[str]:
        """Write it as options of `kafka-acls.sh`."""
        return [
            *("--add", "--allow-principal", f"User:{self.principal}"),
            *(word for operation in self.operations for word in ("--operation", operation)),
            *(word for topic in self.topics for word in ("--topic", topic)),
            *(word for group in self.groups for word in ("--group", group)),
            *(("--resource-pattern-type", "prefixed") if self.prefixed else ()),
        ]


def elasticsearch_roles(settings: Settings, *, with_ilm: bool = True) -> list[Role]:
    """Give the roles; privileges as in Elasticsearch's ClusterPrivilegeResolver and IndexPrivilege, 9.1.

    Raises LogstashError for a configuration that cannot be run.
    """
    targets = targets_of(settings)
    prefix = settings.index.prefix
    # With `roll = "ilm"` writes go to the alias, which has the name of the prefix itself.
    logs = list(log_index_patterns(prefix))
    names = [prefix, *logs] if settings.index.roll == "ilm" else logs
    setup: dict[str, Any] = {"cluster": ["manage_index_templates"], "indices": []}
    if with_ilm:
        setup["cluster"].append("manage_ilm")
        # ILM acts, and deletes, with the privileges of whoever last wrote the policy.
        setup["indices"].append({"names": [*names, f"{prefix}.traces-*"], "privileges": ["manage"]})
    traces = [f"{prefix}.traces-*"] if settings.traces.enabled else []
    correlator = Role(
        f"{prefix}-traces",
        "traces: creates summaries, reads them back and adds what came late",
        {
            "cluster": ["monitor"],
            "indices": [
                {"names": traces, "privileges": ["index", "read", "auto_configure", "view_index_metadata"]}
            ],
        },
    )
    return [
        Role(
            f"{prefix}-worker",
            "run, index, check, dlq replay: creates documents and their indices; changes and deletes nothing",
            {
                "cluster": ["monitor"],
                "indices": [
                    {
                        "names": [*names, fingerprints_index(prefix)],
                        "privileges": ["create_doc", "auto_configure", "view_index_metadata"],
                    },
                    *_written_by_outputs(targets),
                ],
            },
        ),
        *([correlator] if traces else []),
        Role(f"{prefix}-setup", "setup: needed only while it runs", setup),
        Role(
            f"{prefix}-reader",
            "audit, probe, trace, traces list: reads; `maintenance` is for the refresh before an audit",
            {
                "cluster": [],
                "indices": [
                    {
                        "names": [*logs, *traces, *(targets.patterns if targets else ())],
                        "privileges": ["read", "view_index_metadata", "maintenance"],
                    }
                ],
            },
        ),
        Role(
            f"{prefix}-dashboards",
            "setup --kibana: saves dashboards in Kibana's space `default`; beside the role of setup",
            {
                "applications": [
                    {
                        "application": "kibana-.kibana",
                        "privileges": ["feature_savedObjectsManagement.all"],
                        "resources": ["space:default"],
                    }
                ]
            },
        ),
    ]


def _written_by_outputs(targets: "Targets | None") -> list[dict[str, Any]]:
    """Give what the outputs of a Logstash configuration write to, and what they do there."""
    if targets is None or not targets.patterns:
        return []
    privileges = ["create_doc", "auto_configure", "view_index_metadata"]
    if targets.operations & {"index", "update"}:
        privileges[0] = "index"
    if "delete" in targets.operations:
        privileges.append("delete")
    return [{"names": list(targets.patterns), "privileges": privileges}]


def kafka_acls(settings: Settings) -> list[Acl]:
    """Give the ACLs; the principal of the worker is `kafka.sasl_username` when that is set."""
    kafka = settings.kafka
    worker = kafka.sasl_username or "logpipe-worker"
    setup, reader, probe = "logpipe-setup", "logpipe-reader", "logpipe-probe"
    every = [spec.name for spec in wanted_topics(settings, partitions=1)]
    dead_letters = every[-1]
    topics, prefixed = _topics_read(kafka)
    return [
        Acl("read the records", worker, ["Read", "Describe"], topics, prefixed=prefixed),
        Acl("commit what is done", worker, ["Read", "Describe"], groups=[kafka.group_id]),
        Acl("write dead letters", worker, ["Write", "Describe"], [dead_letters]),
        *(_trace_acls(settings, worker) if settings.traces.enabled else []),
        Acl("create topics and compare them", setup, ["Create", "Describe", "DescribeConfigs"], every),
        Acl("read dead letters", reader, ["Read", "Describe"], [dead_letters]),
        Acl("read the records", reader, ["Read", "Describe"], topics, prefixed=prefixed),
        Acl("see what is committed", reader, ["Describe"], groups=[kafka.group_id]),
        Acl("write synthetic events", probe, ["Write", "Describe"], topics, prefixed=prefixed),
    ]


def _trace_acls(settings: Settings, worker: str) -> list[Acl]:
    """Give what the trace events need: the correlator runs as a worker does."""
    topic = trace_events_topic(settings)
    return [
        Acl("write and read trace events", worker, ["Write", "Read", "Describe"], [topic]),
        Acl("commit which traces are told", worker, ["Read", "Describe"], groups=[traces_group(settings)]),
    ]


def describe_roles(settings: Settings, *, with_ilm: bool = True) -> str:
    """Write roles and ACLs so that they can be copied: requests for Kibana's console, and shell commands."""
    return "\n".join([*_requests(settings, with_ilm=with_ilm), *_commands(settings)])


def _requests(settings: Settings, *, with_ilm: bool) -> Iterator[str]:
    yield "# Elasticsearch: one role for each task, as requests for Kibana's console."
    for role in elasticsearch_roles(settings, with_ilm=with_ilm):
        yield f"\n# {role.purpose}"
        yield f"PUT /_security/role/{role.name}"
        yield json.dumps(role.descriptor, indent=2)


def _commands(settings: Settings) -> Iterator[str]:
    yield "\n# Kafka: one principal for each task; admin.properties is how your administrator connects."
    yield "# With client certificates the principal is the subject's name, such as User:CN=logpipe-worker."
    servers = shlex.quote(",".join(settings.kafka.bootstrap_servers))
    principal = None
    for acl in kafka_acls(settings):
        if acl.principal != principal:
            principal = acl.principal
            yield ""
        yield f"# {principal}: {acl.purpose}"
        yield (
            f"kafka-acls.sh --bootstrap-server {servers} --command-config admin.properties "
            f"{shlex.join(acl.arguments())}"
        )


def _topics_read(kafka: Kafka) -> tuple[list[str], bool]:
    """Name the topics, or what the names matched by the pattern begin with: an ACL knows no other pattern."""
    if kafka.topic_pattern is None:
        return list(kafka.topics), False
    literal = _literal_beginning(kafka.topic_pattern)
    return ([literal], True) if literal else (["*"], False)


def _literal_beginning(pattern: str) -> str:
    """Give the characters that every match begins with; fewer than there are is safe, more is not."""
    if "|" in pattern or "(?" in pattern:
        return ""
    match = re.match(r"\^?(?P<text>(?:[A-Za-z0-9_-]|\\[.-])*)(?P<next>.?)", pattern)
    if match is None:
        return ""
    text = match["text"].replace("\\", "")
    return text[:-1] if match["next"] and match["next"] in "*?{" else text
