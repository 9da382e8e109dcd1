"""The printed ACLs are enough for each task and for no other, says a broker that obeys them."""

import argparse
import asyncio
import shlex
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import CreateAclsRequest

from pipeline.errors import ServerRefused
from pipeline.events.document import Coordinates
from pipeline.install.roles import describe_roles, kafka_acls
from pipeline.install.topics import TopicSpec, create_topics, plan_topics, wanted_topics
from pipeline.kafka.client import connection_options
from pipeline.kafka.dead_letters import DeadLetter, DeadLetterProducer, read_dead_letters
from pipeline.sample import sample_events
from pipeline.sample.produce import produce
from pipeline.settings import Settings, load_settings
from tests.logpipe import logpipe
from tests.security.kafka_steps import read_values, settings_for
from tests.security.secured_kafka import SecuredKafka

# Numbers of the protocol: https://kafka.apache.org/protocol, org.apache.kafka.common.acl.AclOperation
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}
TOPIC, GROUP, LITERAL, PREFIXED, ALLOW = 2, 3, 3, 4, 3
LETTER = DeadLetter(Coordinates("t", 0, 1, 2), None, b"value", (), "type", "reason", "", 400, 1)


class Task:
    """The settings of each principal, once the printed commands were carried out."""

    def __init__(self, secured: SecuredKafka, name: str) -> None:
        self._secured = secured
        self._name = name
        self.worker = self.of("logpipe-worker")
        self.setup = self.of("logpipe-setup")
        self.reader = self.of("logpipe-reader")
        self.probe = self.of("logpipe-probe")
        self.admin = self.of("admin")

    def of(self, user: str) -> Settings:
        return settings_for(self._secured.settings("SASL_SSL", "SCRAM-SHA-256", user), self._name)

    def environment(self, user: str, name: str = "") -> dict[str, str]:
        """Give what a command of this user is started with."""
        return {
            **{
                f"LOGPIPE_KAFKA__{setting}".upper(): value
                for setting, value in self._secured.settings("SASL_SSL", "SCRAM-SHA-256", user).items()
            },
            "LOGPIPE_KAFKA__TOPICS": f"{self._name}.logs",
            "LOGPIPE_KAFKA__GROUP_ID": self._name,
            "LOGPIPE_INDEX__PREFIX": name or self._name,
        }


@pytest.fixture
async def task(secured: SecuredKafka) -> AsyncIterator[Task]:
    one = Task(secured, f"acl-{uuid4().hex[:8]}")
    admin = AIOKafkaAdminClient(**connection_options(one.admin.kafka))
    await admin.start()
    try:
        for line in describe_roles(one.worker).splitlines():
            if line.startswith("kafka-acls.sh "):
                await carry_out(admin, line)
        yield one
    finally:
        await admin.close()


async def carry_out(admin: AIOKafkaAdminClient, command: str) -> None:
    """Do what kafka-acls.sh does with such a line; its class is in no published jar of the broker's."""
    parser = argparse.ArgumentParser()
    for option in ("--bootstrap-server", "--command-config", "--allow-principal"):
        parser.add_argument(option, required=True)
    parser.add_argument("--add", action="store_true", required=True)
    parser.add_argument("--resource-pattern-type", choices=["literal", "prefixed"], default="literal")
    for option in ("--operation", "--topic", "--group"):
        parser.add_argument(option, action="append", default=[])
    wanted = parser.parse_args(shlex.split(command)[1:])
    pattern = PREFIXED if wanted.resource_pattern_type == "prefixed" else LITERAL
    for kind, names in ((TOPIC, wanted.topic), (GROUP, wanted.group)):
        for name in names:
            for operation in wanted.operation:
                request = CreateAclsRequest(
                    kind, name, pattern, wanted.allow_principal, "*", OPERATIONS[operation], ALLOW
                )
                answer = await admin._send_to_controller(request)  # noqa: SLF001 - it has no public method
                assert answer.creation_responses[0][0] == 0, answer


async def install(settings: Settings) -> None:
    plan = await plan_topics(settings.kafka, wanted_topics(settings, partitions=1))
    await create_topics(settings.kafka, plan.missing)


async def write_letter(settings: Settings) -> None:
    producer = DeadLetterProducer(settings)
    try:
        await producer.write([LETTER])
    finally:
        await producer.close()


async def send(settings: Settings) -> None:
    await produce(
        settings.kafka, sample_events(3, seed=1, end_ms=time.time_ns() // 1_000_000, span_seconds=60)
    )


async def test_each_task_is_allowed(task: Task) -> None:
    await install(task.setup)
    await install(task.setup)  # again: compares what is there
    await send(task.probe)
    assert len(await read_values(task.worker, 3)) == 3
    await write_letter(task.worker)
    assert [letter.value async for letter in read_dead_letters(task.reader)] == [b"value"]


async def test_no_other_is(task: Task) -> None:
    with pytest.raises(ServerRefused, match="refused to create"):
        await create_topics(task.setup.kafka, [TopicSpec("another", 1, 1, {})])
    for settings in (task.worker, task.reader):
        with pytest.raises(ServerRefused, match="refused to create"):
            await create_topics(settings.kafka, wanted_topics(settings, partitions=1))
    await install(task.setup)
    for settings in (task.worker, task.reader, task.setup):
        with pytest.raises(ServerRefused, match="does not take events"):
            await send(settings)
    for settings in (task.reader, task.setup, task.probe):
        with pytest.raises(KafkaError):
            await write_letter(settings)
        with pytest.raises(ServerRefused, match="into the group"):
            await read_values(settings, 1)


@pytest.mark.parametrize(
    "command",
    [
        ("dlq", "list"),
        ("dlq", "show", "--partition", "0", "--offset", "1"),
        ("dlq", "replay"),
        ("dlq", "replay", "--dry-run"),
        ("audit", "--to-end"),
    ],
    ids=" ".join,
)
async def test_a_command_without_its_rights_says_so(task: Task, command: tuple[str, ...]) -> None:
    await install(task.setup)
    await write_letter(task.worker)
    for environment in (
        task.environment("logpipe-worker"),  # knows of the dead letters, and may not read them
        task.environment("logpipe-reader", "of-somebody-else"),  # may not even know whether there are any
    ):
        done = await asyncio.to_thread(logpipe, *command, settings=environment)
        text = done.stderr.decode()
        assert (done.returncode, done.stdout) == (4, b""), text
        assert "TopicAuthorizationFailedError" in text
        assert "`logpipe setup --print-roles` shows the ACLs" in text
        assert "Traceback" not in text


@pytest.mark.parametrize(
    ("pattern", "topics", "prefixed"),
    [
        (r"logs\..*", ["logs."], True),
        (r"^app-[a-z]+\.logs", ["app-"], True),
        ("logsx?", ["logs"], True),
        ("logs{2}", ["log"], True),
        ("logs.*", ["logs"], True),
        ("logs", ["logs"], True),
        (r".*\.logs", ["*"], False),
        ("a-logs|b-logs", ["*"], False),
        ("(?i)logs", ["*"], False),
        (r"\w+", ["*"], False),
    ],
)
def test_pattern_of_topics_becomes_a_prefix(pattern: str, topics: list[str], prefixed: bool) -> None:
    acl = kafka_acls(load_settings(overrides={"kafka": {"topic_pattern": pattern}}))[0]
    assert (list(acl.topics), acl.prefixed) == (topics, prefixed)
