"""TLS and SASL against a real broker: every protocol and mechanism, and what is refused."""

import time

import pytest

from pipeline.errors import LogpipeError, ServerRefused, ServerUnavailable, SettingsError
from pipeline.events.document import Coordinates
from pipeline.install.check import check_servers
from pipeline.install.topics import create_topics, plan_topics, wanted_topics
from pipeline.kafka.dead_letters import DeadLetter, DeadLetterProducer, read_dead_letters
from pipeline.sample import sample_events
from pipeline.sample.produce import produce
from pipeline.telemetry.merged import SupervisorTelemetry
from pipeline.worker.preparation import until_servers_answer
from tests.security.kafka_steps import read_values, settings_for
from tests.security.secured_kafka import PASSWORDS, SecuredKafka

WAYS = [
    ("PLAINTEXT", "PLAIN"),
    ("SSL", "PLAIN"),
    *((protocol, mechanism) for protocol in ("SASL_PLAINTEXT", "SASL_SSL") for mechanism in PASSWORDS),
]


@pytest.mark.parametrize(("protocol", "mechanism"), WAYS)
async def test_every_client_connects(secured: SecuredKafka, protocol: str, mechanism: str) -> None:
    settings = settings_for(secured.settings(protocol, mechanism), f"{protocol}-{mechanism}".lower())

    plan = await plan_topics(settings.kafka, wanted_topics(settings, partitions=1))
    await create_topics(settings.kafka, plan.missing)
    await produce(
        settings.kafka, sample_events(5, seed=1, end_ms=time.time_ns() // 1_000_000, span_seconds=60)
    )
    assert len(await read_values(settings, 5)) == 5

    producer = DeadLetterProducer(settings)
    letter = DeadLetter(Coordinates("t", 0, 1, 2), None, b"value", (), "type", "reason", "", 400, 1)
    await producer.write([letter])
    await producer.close()
    assert [each.value async for each in read_dead_letters(settings)] == [b"value"]

    findings = {finding.subject: finding.good for finding in await check_servers(settings)}
    assert findings["kafka"]


@pytest.mark.parametrize(
    ("protocol", "changes"),
    [
        pytest.param("SASL_SSL", {"sasl_password": "wr0ng-S3CRET"}, id="wrong password"),
        pytest.param(
            "SASL_PLAINTEXT",
            {"sasl_mechanism": "SCRAM-SHA-512", "sasl_password": "wr0ng-S3CRET"},
            id="wrong SCRAM password",
        ),
        pytest.param("SASL_SSL", {"sasl_username": "nobody"}, id="unknown user"),
    ],
)
async def test_whom_kafka_does_not_know_is_refused_and_run_does_not_wait(
    secured: SecuredKafka, protocol: str, changes: dict[str, str]
) -> None:
    # A broker that has just started takes its time on a busy machine.
    patient = {**secured.settings(protocol), "connect_timeout_seconds": "40"}
    settings = settings_for({**patient, **changes}, "refused")

    with pytest.raises(ServerRefused, match=r"kafka\.sasl_password right") as caught:
        await plan_topics(settings.kafka, wanted_topics(settings, partitions=1))
    with pytest.raises(ServerUnavailable, match=r"kafka\.sasl_password right") as ended:
        await until_servers_answer(settings, SupervisorTelemetry())

    assert "S3CRET" not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r} {ended.value!r}"


@pytest.mark.parametrize(
    ("protocol", "changes"),
    [
        pytest.param("SASL_SSL", {"ca_certs": "{other}"}, id="another authority"),
        pytest.param("SASL_SSL", {"bootstrap_servers": "localhost:{port}"}, id="another name"),
        pytest.param("SSL", {"client_cert": None}, id="no client certificate"),
    ],
)
async def test_refusals_are_unavailable_servers(
    secured: SecuredKafka, protocol: str, changes: dict[str, str | None]
) -> None:
    places = {"other": secured.other_ca_certs, "port": secured.ports[protocol]}
    changed = {name: value and value.format(**places) for name, value in changes.items()}
    settings = settings_for({**secured.settings(protocol), **changed}, "refused")

    with pytest.raises(ServerUnavailable, match=r"kafka\.bootstrap_servers") as caught:
        await plan_topics(settings.kafka, wanted_topics(settings, partitions=1))

    assert "S3CRET" not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param(
            {"ca_certs": "/none.pem"}, ["kafka.ca_certs", "/none.pem", "no such file"], id="missing"
        ),
        pytest.param({"ca_certs": __file__}, ["kafka.ca_certs", "certificate"], id="no certificate"),
        pytest.param(
            {"client_cert": "{ca}"}, ["kafka.client_cert", "kafka.client_key"], id="certificate without key"
        ),
    ],
)
async def test_unusable_file_is_a_wrong_setting(
    secured: SecuredKafka, changes: dict[str, str], words: list[str]
) -> None:
    changed = {name: value.format(ca=secured.ca_certs) for name, value in changes.items()}
    settings = settings_for({**secured.settings("SSL"), **changed}, "refused")

    with pytest.raises(SettingsError) as caught:
        await plan_topics(settings.kafka, [])

    for word in words:
        assert word in str(caught.value)


async def test_encrypted_key_does_not_ask_on_the_terminal(secured: SecuredKafka, encrypted_key: str) -> None:
    changed = {"client_cert": str(secured.client_cert), "client_key": encrypted_key}
    settings = settings_for({**secured.settings("SSL"), **changed}, "refused")
    with pytest.raises(LogpipeError, match="unencrypted key"):
        await plan_topics(settings.kafka, [])
