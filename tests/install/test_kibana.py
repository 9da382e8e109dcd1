"""`setup --kibana`, on the real servers and a small stand-in for Kibana."""

import asyncio
import json
import ssl
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import trustme
from elasticsearch import Elasticsearch

from pipeline.errors import LogpipeError, ServerRefused, ServerUnavailable, SettingsError
from pipeline.events.indices import log_index_patterns
from pipeline.install import run_setup
from pipeline.install.kibana import Kibana, load_saved_objects
from pipeline.sandbox.ports import free_port
from pipeline.settings import Elasticsearch as ElasticsearchSettings
from tests.install.conftest import MakeSettings
from tests.install.kibana_server import FakeKibana, fake_kibana
from tests.install.test_setup import Lines, objects_of
from tests.logpipe import logpipe

CREDENTIAL = "s3cret-of-kibana"
IDS = ["", "-errors", "-error-analysis"]


def settings_of(**values: Any) -> ElasticsearchSettings:
    return ElasticsearchSettings.model_validate(values)


def kinds_of(server: FakeKibana, space: str = "default") -> dict[str, str]:
    return {key.id: key.type for key in server.objects if key.space == space}


async def test_setup_imports_everything_and_again_is_no_harm(
    make_settings: MakeSettings, client: Elasticsearch, prefix: str
) -> None:
    lines = Lines()
    async with fake_kibana() as kibana:
        for _ in range(2):
            result = await run_setup(
                make_settings(), without_ilm=True, with_topics=False, kibana=kibana.url, report=lines
            )
        assert objects_of(client, prefix)
        assert set(kinds_of(kibana)) == set(result.saved_objects) >= {f"{prefix}{end}" for end in IDS}
        assert kinds_of(kibana)[prefix] == "index-pattern"
        assert f"imported index-pattern {prefix} ({prefix}: logs) into {kibana.url}" in lines


async def test_a_dry_run_says_what_would_be_imported_and_imports_nothing(
    make_settings: MakeSettings, client: Elasticsearch, prefix: str
) -> None:
    lines = Lines()
    async with fake_kibana() as kibana:
        result = await run_setup(
            make_settings(),
            dry_run=True,
            without_ilm=True,
            with_topics=False,
            kibana=kibana.url,
            report=lines,
        )
        assert not kibana.objects
    assert result.changed
    assert objects_of(client, prefix) == set()
    assert f"would import dashboard {prefix}-error-analysis ({prefix}: Error Analysis)" in lines.text


async def test_nothing_is_changed_when_kibana_is_away(
    make_settings: MakeSettings, client: Elasticsearch, prefix: str
) -> None:
    with pytest.raises(ServerUnavailable, match="no answer from http://127"):
        await run_setup(
            make_settings(),
            without_ilm=True,
            kibana=f"http://127.0.0.1:{free_port()}",
            report=Lines(),
        )
    assert objects_of(client, prefix) == set()


def test_the_command_says_what_to_do_about_a_kibana_that_is_away() -> None:
    result = logpipe("setup", "--kibana", f"http://127.0.0.1:{free_port()}")
    assert result.returncode == ServerUnavailable.exit_code
    assert b"--kibana" in result.stderr
    assert b"Traceback" not in result.stderr


async def test_objects_go_into_the_space_of_the_url() -> None:
    async with fake_kibana() as server:
        kibana = Kibana(f"{server.url}/s/operations/", settings_of())
        await kibana.check()
        await kibana.import_objects(load_saved_objects("claude-code-bot"))
        assert "claude-code-bot" in kinds_of(server, "operations")
        assert not kinds_of(server)
        assert server.requests[:2] == ["GET /s/operations/api/status", "GET /api/spaces/space/operations"]


async def test_a_space_that_does_not_exist_is_refused() -> None:
    async with fake_kibana() as server:
        with pytest.raises(ServerRefused, match="space operatoins, which has to be created before"):
            await Kibana(f"{server.url}/s/operatoins", settings_of()).check()


async def test_what_kibana_does_not_take_is_named_with_its_reason() -> None:
    everything = load_saved_objects("claude-code-bot")
    async with fake_kibana(refused="search") as server:
        with pytest.raises(ServerRefused) as refusal:
            await Kibana(server.url, settings_of()).import_objects(everything)
    assert f"took {len(everything) - 2} of {len(everything)} objects" in str(refusal.value)
    assert "search claude-code-bot-errors: unknown (belongs to a more recent version)" in str(refusal.value)


async def test_a_missing_reference_is_named() -> None:
    (dashboard,) = (one for one in load_saved_objects("claude-code-bot") if one.id.endswith("error-analysis"))
    async with fake_kibana() as server:
        with pytest.raises(ServerRefused, match=r"missing_references \(index-pattern claude-code-bot,"):
            await Kibana(server.url, settings_of()).import_objects([dashboard])


@pytest.mark.parametrize(
    ("values", "header"),
    [
        ({"api_key": CREDENTIAL}, f"ApiKey {CREDENTIAL}"),
        (
            {"username": "elastic", "password": CREDENTIAL},
            f"Basic {b64encode(f'elastic:{CREDENTIAL}'.encode()).decode()}",
        ),
    ],
)
async def test_kibana_gets_elasticsearchs_credentials_and_nobody_else_sees_them(
    values: dict[str, str], header: str
) -> None:
    async with fake_kibana(authorization=header) as server:
        await Kibana(server.url, settings_of(**values)).check()
        assert server.requests == ["GET /api/status"]
    async with fake_kibana(authorization="another") as server:
        with pytest.raises(ServerRefused, match=r"HTTP 401.*elasticsearch\.(api_key|username)") as refusal:
            await Kibana(server.url, settings_of(**values)).check()
    assert CREDENTIAL not in str(refusal.value)


@pytest.mark.parametrize(
    ("status", "body", "error", "message"),
    [
        (403, {"message": "Unable to bulk_create dashboard"}, ServerRefused, "Saved Objects Management: All"),
        (404, {"message": "Not Found"}, ServerRefused, "the address of Kibana"),
        (500, {"message": "boom"}, ServerRefused, r"HTTP 500\): boom"),
        (503, "Kibana server is not ready yet", ServerUnavailable, "now .* not ready yet"),
        (200, {"tagline": "You Know, for Search"}, ServerRefused, "is not Kibana"),
        (200, "<html>", ServerRefused, "is not Kibana"),
        (200, "[1]", ServerRefused, "is not Kibana"),
    ],
)
async def test_answers_of_kibana_become_our_errors(
    status: int, body: Any, error: type[LogpipeError], message: str
) -> None:
    async with fake_kibana(status=status, body=body) as server:
        with pytest.raises(error, match=message):
            await Kibana(server.url, settings_of()).check()


async def test_a_redirection_is_not_followed_with_the_credentials() -> None:
    async with fake_kibana() as server:
        kibana = Kibana(f"{server.url}/behind-a-login", settings_of(api_key=CREDENTIAL))
        with pytest.raises(ServerRefused, match=r"it redirects to https://login\.example\.com/"):
            await kibana.check()


async def test_a_kibana_that_does_not_answer_is_given_up() -> None:
    done = asyncio.Event()

    async def never_answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        kibana = Kibana(f"http://127.0.0.1:{port}", settings_of(request_timeout_seconds=0.2))
        with pytest.raises(ServerUnavailable, match=r"\(--kibana\): TimeoutError"):
            await kibana.check()
        done.set()


@pytest.mark.parametrize(
    "url", ["kibana:5601", "http://", "http://kibana:5601?space=a", "http://elastic:pass@kibana:5601"]
)
def test_what_is_no_url_of_a_kibana_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="--kibana") as refusal:
        Kibana(url, settings_of())
    assert "pass@" not in str(refusal.value)


def test_credentials_are_not_sent_in_plain_text_where_elasticsearch_has_https() -> None:
    with pytest.raises(SettingsError, match="in plain text"):
        Kibana("http://kibana:5601", settings_of(hosts=["https://es:9200"], api_key=CREDENTIAL))


async def test_https_is_checked_by_elasticsearchs_authority(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    hosts = ["https://127.0.0.1:9200"]
    async with fake_kibana(ssl=tls) as server:
        await Kibana(server.url, settings_of(hosts=hosts, ca_certs=tmp_path / "ca.pem")).check()
        with pytest.raises(ServerUnavailable, match=r"is elasticsearch\.ca_certs right for Kibana, too"):
            await Kibana(server.url, settings_of(hosts=hosts)).check()


async def test_jaeger_without_kibana_is_refused(make_settings: MakeSettings) -> None:
    with pytest.raises(SettingsError, match="goes with --kibana"):
        await run_setup(make_settings(), jaeger="http://jaeger:16686", report=Lines())


def test_trace_ids_lead_to_jaeger() -> None:
    def link(**options: str) -> str:
        view = json.loads(load_saved_objects("claude-code-bot", **options)[0].line)
        formats = json.loads(view["attributes"]["fieldFormatMap"])
        return str(formats["trace_id"]["params"]["urlTemplate"])

    assert link() == "http://localhost:16686/trace/{{value}}"
    assert link(jaeger="https://jaeger.example.com/ui/") == "https://jaeger.example.com/ui/trace/{{value}}"
    with pytest.raises(SettingsError, match="--jaeger"):
        link(jaeger="jaeger.example.com")


@pytest.mark.parametrize("prefix", ["logs", "claude-code-bot-eu"])
def test_another_prefix_is_in_every_id_reference_and_title(prefix: str) -> None:
    ours = load_saved_objects("claude-code-bot")
    for mine, theirs in zip(ours, load_saved_objects(prefix), strict=True):
        assert theirs.kind == mine.kind
        assert theirs.id == prefix + mine.id.removeprefix("claude-code-bot")
        assert theirs.title.startswith(f"{prefix}: ")
        expected = json.loads(mine.line)
        expected["id"] = theirs.id
        for reference in expected["references"]:
            reference["id"] = prefix + reference["id"].removeprefix("claude-code-bot")
        found = json.loads(theirs.line)
        assert found["references"] == expected["references"]
        assert found["attributes"].keys() == expected["attributes"].keys()
        rest = theirs.line.replace(prefix, "")
        assert "claude-code-bot" not in rest
        assert "Claude Code Bot" not in rest
        if mine.kind == "index-pattern":
            logs, traces = ",".join(log_index_patterns(prefix)), f"{prefix}.traces-*"
            assert found["attributes"]["title"] == (traces if mine.id.endswith(".traces") else logs)
