"""`run_setup` on the real servers."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from pipeline.bulk.client import make_client
from pipeline.errors import ServerRefused, ServerUnavailable, SettingsError
from pipeline.install import load_resources, run_setup
from pipeline.install.elasticsearch import overridden_for
from pipeline.install.plan import without_dates
from pipeline.sandbox.ports import free_port
from tests.install.conftest import MakeSettings
from tests.install.ilm_server import IlmServer
from tests.install.status_server import status_server


class Lines(list[str]):
    """What was reported."""

    def __call__(self, text: str) -> None:
        self.append(text)

    @property
    def text(self) -> str:
        return "\n".join(self)


def objects_of(client: Elasticsearch, prefix: str) -> set[str]:
    components = client.cluster.get_component_template()["component_templates"]
    templates = client.indices.get_index_template()["index_templates"]
    return {entry["name"] for entry in (*components, *templates) if entry["name"].startswith(prefix)}


async def test_everything_is_installed_and_a_second_run_finds_nothing_to_do(
    make_settings: MakeSettings, client: Elasticsearch, prefix: str
) -> None:
    first = await run_setup(make_settings(), without_ilm=True, report=Lines())
    assert first.changed
    assert [str(change) for change in first.changes] == [
        f"create component template {prefix}@settings",
        f"create component template {prefix}@mappings",
        f"create index template {prefix}.fingerprints",
        f"create index template {prefix}.traces",
        f"create index template {prefix}.undated",
        f"create index template {prefix}",
    ]
    assert first.topics == (f"{prefix}.logs", f"{prefix}.dead-letters")
    templates = {prefix, *(f"{prefix}.{name}" for name in ("fingerprints", "undated", "traces"))}
    assert objects_of(client, prefix) == templates | {f"{prefix}@settings", f"{prefix}@mappings"}

    lines = Lines()
    second = await run_setup(make_settings(), without_ilm=True, report=lines)
    assert not second.changed
    # The sandbox's server lacks a module that a distribution has.
    assert [line.partition(":")[0] for line in lines] == ["note", "note"]
    assert "match_only_text" in lines[0]
    assert lines[1] == "note: without ILM no index is ever moved or deleted; delete old ones yourself"


async def test_a_new_index_has_the_settings_and_the_mapping(
    make_settings: MakeSettings, client: Elasticsearch, prefix: str
) -> None:
    await run_setup(make_settings(), without_ilm=True, with_topics=False, report=Lines())
    name = f"{prefix}-2024.01.15"
    client.index(index=name, document={"@timestamp": "2024-01-15T10:30:00.123Z"})
    index = client.indices.get(index=name)[name]
    settings = index["settings"]["index"]
    assert settings["number_of_shards"] == "3"
    assert settings["number_of_replicas"] == "1"
    assert settings["codec"] == "best_compression"
    assert settings["refresh_interval"] == "30s"
    assert index["mappings"]["subobjects"] is False
    types = {field: options["type"] for field, options in index["mappings"]["properties"].items()}
    assert (
        types.items()
        >= {
            "@timestamp": "date",
            "timestamp": "keyword",
            "level": "keyword",
            "service": "keyword",
            "component": "keyword",
            "trace_id": "keyword",
            "message": "text",
            "context.processing_time_ms": "double",
            "kafka.offset": "long",
        }.items()
    )


async def test_a_dry_run_shows_the_difference_and_changes_nothing(
    make_settings: MakeSettings, client: Elasticsearch, prefix: str
) -> None:
    lines = Lines()
    result = await run_setup(make_settings(), dry_run=True, without_ilm=True, report=lines)
    assert result.changed
    assert objects_of(client, prefix) == set()
    assert f"would create topic {prefix}.logs (8 partitions" in lines.text

    await run_setup(make_settings(), without_ilm=True, report=Lines())
    changed = {"index.number_of_shards": "1"}
    lines = Lines()
    result = await run_setup(
        make_settings(), dry_run=True, without_ilm=True, index_settings=changed, report=lines
    )
    assert [str(change) for change in result.changes] == [f"update component template {prefix}@settings"]
    assert '-      "index.number_of_shards": "3",\n+      "index.number_of_shards": "1",' in lines.text
    assert result.topics == ()

    again = await run_setup(make_settings(), without_ilm=True, report=Lines())
    assert not again.changed, "the dry run changed something"


async def test_what_someone_else_changed_is_put_right(
    make_settings: MakeSettings, client: Elasticsearch, prefix: str
) -> None:
    await run_setup(make_settings(), without_ilm=True, with_topics=False, report=Lines())
    client.cluster.put_component_template(
        name=f"{prefix}@mappings", template={"mappings": {"dynamic": "strict"}}
    )
    lines = Lines()
    await run_setup(make_settings(), without_ilm=True, with_topics=False, report=lines)
    assert lines[0] == f"updated component template {prefix}@mappings"
    found = client.cluster.get_component_template(name=f"{prefix}@mappings")
    mappings = found["component_templates"][0]["component_template"]["template"]["mappings"]
    assert mappings["dynamic"] is True


async def test_the_users_own_component_wins(
    make_settings: MakeSettings, client: Elasticsearch, prefix: str
) -> None:
    client.cluster.put_component_template(
        name=f"{prefix}@custom",
        template={
            "settings": {"index.number_of_shards": 1},
            "mappings": {"properties": {"context.attempts": {"type": "long"}}},
        },
    )
    await run_setup(make_settings(), without_ilm=True, with_topics=False, report=Lines())
    name = f"{prefix}-2024.01.15"
    client.indices.create(index=name)
    index = client.indices.get(index=name)[name]
    assert index["settings"]["index"]["number_of_shards"] == "1"
    assert index["mappings"]["properties"]["context.attempts"] == {"type": "long"}
    assert index["mappings"]["properties"]["level"]["type"] == "keyword"


async def test_a_server_without_ilm_is_refused_before_anything_is_changed(
    make_settings: MakeSettings, client: Elasticsearch, prefix: str
) -> None:
    with pytest.raises(ServerRefused, match="--without-ilm"):
        await run_setup(make_settings(), report=Lines())
    assert objects_of(client, prefix) == set()


async def test_a_template_of_a_higher_priority_is_refused_by_name(
    make_settings: MakeSettings, client: Elasticsearch, prefix: str
) -> None:
    name = f"{prefix}-theirs"
    client.indices.put_index_template(name=name, index_patterns=[f"{prefix}-*"], priority=900)
    with pytest.raises(ServerRefused, match=rf"{name} \(priority 900"):
        await run_setup(make_settings(), without_ilm=True, report=Lines())
    assert objects_of(client, prefix) == {name}


async def test_the_server_itself_is_asked_which_template_wins(
    make_settings: MakeSettings, client: Elasticsearch, prefix: str
) -> None:
    settings = make_settings()
    await run_setup(settings, without_ilm=True, with_topics=False, report=Lines())
    ours = load_resources(settings.index, lifecycle=False)[-1]
    now = datetime(2026, 11, 23, tzinfo=UTC)
    async with make_client(settings.elasticsearch) as asking:
        assert await overridden_for(asking, ours, settings.index, now) is None
        client.indices.put_index_template(
            name=f"{prefix}-theirs", index_patterns=[f"{prefix}-2026*"], priority=900
        )
        assert await overridden_for(asking, ours, settings.index, now) == f"{prefix}-2026.11.23"


@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_template_of_the_same_priority_is_refused_before_anything_is_installed(
    make_settings: MakeSettings, client: Elasticsearch, prefix: str, dry_run: bool
) -> None:
    settings = make_settings()
    priority = load_resources(settings.index)[-1].body["priority"]
    name = f"{prefix}-same"
    client.indices.put_index_template(name=name, index_patterns=[f"{prefix}-2*"], priority=priority)
    with pytest.raises(ServerRefused, match=rf"{name} \(priority {priority}.*same priority"):
        await run_setup(settings, dry_run=dry_run, without_ilm=True, with_topics=False, report=Lines())
    assert objects_of(client, prefix) == {name}


async def test_prefixes_that_begin_with_each_other_stand_side_by_side(
    make_settings: MakeSettings, client: Elasticsearch, prefix: str
) -> None:
    prefixes = [f"{prefix}-bot", f"{prefix}-bot-staging", prefix, f"{prefix}-bot-2"]
    # The first as an earlier version has installed it.
    await run_setup(
        make_settings(index={"prefix": prefixes[0]}), without_ilm=True, with_topics=False, report=Lines()
    )
    body = client.indices.get_index_template(name=prefixes[0])["index_templates"][0]["index_template"]
    earlier = {**body, "index_patterns": [f"{prefixes[0]}-*"], "priority": 500}
    client.indices.put_index_template(name=prefixes[0], body=without_dates(earlier))
    for name in prefixes[1:]:
        await run_setup(
            make_settings(index={"prefix": name}), without_ilm=True, with_topics=False, report=Lines()
        )
    await run_setup(
        make_settings(index={"prefix": prefixes[0]}), without_ilm=True, with_topics=False, report=Lines()
    )
    for name in prefixes:
        client.cluster.put_component_template(
            name=f"{name}@custom",
            template={"settings": {"index.routing.allocation.total_shards_per_node": len(name)}},
        )
        for index in (
            f"{name}-2026.11.23",
            f"{name}-2026.11.23-000001",
            f"{name}-undated",
            f"{name}-overflow",
        ):
            answer = client.indices.simulate_index_template(name=index)
            found = answer["template"]["settings"]["index"]["routing"]["allocation"]["total_shards_per_node"]
            assert found == str(len(name)), index


@pytest.mark.parametrize("installed_before", [True, False])
async def test_what_is_refused_half_way_is_undone(
    make_settings: MakeSettings, ilm: IlmServer, client: Elasticsearch, prefix: str, installed_before: bool
) -> None:
    settings = make_settings(elasticsearch={"hosts": [ilm.url]})
    if installed_before:
        await run_setup(settings, with_topics=False, report=Lines())
        client.cluster.put_component_template(name=f"{prefix}@settings", template={"settings": {}})
        ilm.policies[f"{prefix}-policy"]["policy"]["phases"]["delete"]["min_age"] = "365d"
        client.indices.put_index_template(name=prefix, index_patterns=[f"{prefix}-1*"], priority=501)
    before = (objects_of(client, prefix), dict(ilm.components), dict(ilm.policies))
    ilm.refused = f"/_index_template/{prefix}"
    lines = Lines()
    with pytest.raises(ServerRefused, match="not today"):
        await run_setup(settings, with_topics=False, report=lines)
    assert (objects_of(client, prefix), dict(ilm.components)) == before[:2]
    if installed_before:
        assert ilm.policies[f"{prefix}-policy"]["policy"]["phases"]["delete"]["min_age"] == "365d"
        found = client.cluster.get_component_template(name=f"{prefix}@settings")
        assert not found["component_templates"][0]["component_template"]["template"].get("settings")
    else:
        assert ilm.policies == {}
    done = [line for line in lines if not line.startswith(("undone", "note"))]
    assert [line for line in lines if line.startswith("undone")] == [
        f"undone: {line}" for line in reversed(done)
    ]


async def test_a_topic_that_kafka_would_refuse_is_found_before_anything_is_changed(
    make_settings: MakeSettings, client: Elasticsearch, prefix: str
) -> None:
    for dry_run in (True, False):
        with pytest.raises(ServerRefused, match="replication factor"):
            await run_setup(
                make_settings(), dry_run=dry_run, without_ilm=True, replication_factor=3, report=Lines()
            )
        assert objects_of(client, prefix) == set()


async def test_what_the_templates_have_wrong_is_found_in_a_dry_run_with_the_innermost_reason(
    make_settings: MakeSettings, client: Elasticsearch, prefix: str
) -> None:
    wrong = {"index.number_of_shards": "many"}
    for dry_run in (True, False):
        with pytest.raises(
            ServerRefused, match=r"Failed to parse value \[many\] for setting \[index.number_of_shards\]"
        ):
            await run_setup(
                make_settings(),
                dry_run=dry_run,
                without_ilm=True,
                with_topics=False,
                index_settings=wrong,
                report=Lines(),
            )
        assert objects_of(client, prefix) == set()


async def test_with_ilm_the_policy_comes_first(
    make_settings: MakeSettings, ilm: IlmServer, prefix: str
) -> None:
    settings = make_settings(elasticsearch={"hosts": [ilm.url]})
    result = await run_setup(settings, with_topics=False, report=Lines())
    assert result.with_ilm
    assert ilm.writes == [
        f"PUT /_ilm/policy/{prefix}-policy",
        f"PUT /_component_template/{prefix}@settings",
        f"PUT /_component_template/{prefix}@mappings",
        f"PUT /_component_template/{prefix}@lifecycle",
        f"PUT /_index_template/{prefix}.fingerprints",
        f"PUT /_component_template/{prefix}.traces@lifecycle",
        f"PUT /_index_template/{prefix}.traces",
        f"PUT /_index_template/{prefix}.undated",
        f"PUT /_index_template/{prefix}",
    ]
    assert ilm.policies[f"{prefix}-policy"]["policy"]["phases"]["delete"]["actions"]
    ilm.writes.clear()
    again = await run_setup(settings, with_topics=False, report=Lines())
    assert not again.changed
    assert ilm.writes == []


async def test_a_changed_policy_is_shown_by_its_difference(
    make_settings: MakeSettings, ilm: IlmServer, prefix: str
) -> None:
    settings = make_settings(elasticsearch={"hosts": [ilm.url]})
    await run_setup(settings, with_topics=False, report=Lines())
    ilm.policies[f"{prefix}-policy"]["policy"]["phases"]["delete"]["min_age"] = "365d"
    lines = Lines()
    await run_setup(settings, dry_run=True, with_topics=False, report=lines)
    assert lines[0] == f"would update ILM policy {prefix}-policy"
    assert '-        "min_age": "365d"\n+        "min_age": "90d"' in lines.text


async def test_one_alias_is_bootstrapped_once(
    make_settings: MakeSettings, ilm: IlmServer, client: Elasticsearch, prefix: str
) -> None:
    settings = make_settings(elasticsearch={"hosts": [ilm.url]}, index={"prefix": prefix, "roll": "ilm"})
    lifecycle = "index.lifecycle.indexing_complete"
    name = f"{prefix}-{datetime.now(UTC):%Y.%m.%d}-000001"

    planned = await run_setup(settings, dry_run=True, with_topics=False, report=Lines())
    assert planned.write_index == name
    assert not client.indices.exists_alias(name=prefix)

    done = await run_setup(settings, with_topics=False, report=Lines())
    assert done.write_index == name
    assert lifecycle not in ilm.components[f"{prefix}@lifecycle"]["template"]["settings"]
    assert client.indices.get_alias(name=prefix)[name]["aliases"] == {prefix: {"is_write_index": True}}
    assert client.indices.get_settings(index=name)[name]["settings"]["index"]["codec"] == "best_compression"

    again = await run_setup(settings, with_topics=False, report=Lines())
    assert not again.changed

    rolled = client.indices.rollover(alias=prefix)
    assert rolled["new_index"] == name.replace("-000001", "-000002")
    assert not (await run_setup(settings, with_topics=False, report=Lines())).changed


async def test_an_index_in_the_place_of_the_alias_is_refused(
    make_settings: MakeSettings, ilm: IlmServer, client: Elasticsearch, prefix: str
) -> None:
    client.indices.create(index=prefix)
    settings = make_settings(elasticsearch={"hosts": [ilm.url]}, index={"prefix": prefix, "roll": "ilm"})
    with pytest.raises(ServerRefused, match=rf"needs {prefix} as an alias, but an index of this name exists"):
        await run_setup(settings, with_topics=False, report=Lines())
    assert ilm.writes == []


async def test_an_alias_without_a_write_index_is_refused(
    make_settings: MakeSettings, ilm: IlmServer, client: Elasticsearch, prefix: str
) -> None:
    for number in (1, 2):
        client.indices.create(index=f"{prefix}-2024.01.15-00000{number}", aliases={prefix: {}})
    settings = make_settings(elasticsearch={"hosts": [ilm.url]}, index={"prefix": prefix, "roll": "ilm"})
    with pytest.raises(ServerRefused, match="has no write index among"):
        await run_setup(settings, with_topics=False, report=Lines())


async def test_one_alias_needs_ilm(make_settings: MakeSettings, prefix: str) -> None:
    settings = make_settings(index={"prefix": prefix, "roll": "ilm"})
    with pytest.raises(SettingsError, match=r"index\.roll"):
        await run_setup(settings, without_ilm=True, report=Lines())


async def test_an_elasticsearch_that_is_away_is_named_by_its_setting(make_settings: MakeSettings) -> None:
    settings = make_settings(elasticsearch={"hosts": [f"http://127.0.0.1:{free_port()}"]})
    with pytest.raises(ServerUnavailable, match=r"elasticsearch\.hosts"):
        await run_setup(settings, without_ilm=True, with_topics=False, report=Lines())


async def test_a_kafka_that_is_away_is_named_by_its_setting(
    make_settings: MakeSettings, client: Elasticsearch, prefix: str
) -> None:
    settings = make_settings(kafka={"bootstrap_servers": [f"127.0.0.1:{free_port()}"]})
    with pytest.raises(ServerUnavailable, match=r"kafka\.bootstrap_servers"):
        await run_setup(settings, without_ilm=True, report=Lines())
    assert objects_of(client, prefix) == set()


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (401, ServerRefused, r"elasticsearch\.api_key"),
        (403, ServerRefused, "lacks a privilege"),
        (429, ServerUnavailable, "cannot say which version it is now"),
        (503, ServerUnavailable, "no master"),
        (500, ServerRefused, "HTTP 500"),
    ],
)
async def test_answers_of_the_server_become_our_errors(
    make_settings: MakeSettings, status: int, error: type[Exception], message: str
) -> None:
    body: dict[str, Any] = {
        "error": {"type": "outer", "reason": "outer", "caused_by": {"reason": "no master"}},
        "status": status,
    }

    async with status_server(status, body) as (url, _):
        settings = make_settings(elasticsearch={"hosts": [url]})
        with pytest.raises(error, match=message):
            await run_setup(settings, with_topics=False, report=Lines())


async def test_setup_works_from_any_directory(
    make_settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (await run_setup(make_settings(), without_ilm=True, with_topics=False, report=Lines())).changed
    shutil.rmtree(tmp_path)


async def test_storage_and_shards_are_those_of_the_settings(
    make_settings: MakeSettings, client: Elasticsearch, prefix: str
) -> None:
    settings = make_settings()
    index = settings.index.model_copy(update={"storage": "logsdb", "shards": 2})
    lines = Lines()
    await run_setup(
        settings.model_copy(update={"index": index}), without_ilm=True, with_topics=False, report=lines
    )
    assert "does not tell its licence" in lines.text
    name = f"{prefix}-2024.01.15"
    document = {"@timestamp": "2024-01-15T10:30:00.123Z", "span_id": "00f067aa0ba902b7", "message": "m"}
    client.index(index=name, id="1", routing="3.7", document=document, refresh=True)
    made = client.indices.get(index=name)[name]["settings"]["index"]
    assert (made["mode"], made["number_of_shards"]) == ("logsdb", "2")
    assert client.get(index=name, id="1", routing="3.7")["_source"] == document
