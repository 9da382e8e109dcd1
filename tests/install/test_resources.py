"""Which objects are installed, under which names; and that an installed wheel has them."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipeline.events.indices import Indices, log_index_patterns
from pipeline.install import Kind, load_resources
from pipeline.settings import Events, Index

ROOT = Path(__file__).parents[2]
FILES = sorted([*ROOT.glob("mappings/*.json"), *ROOT.glob("ilm/*.json")])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_file_is_one_request_body(file: Path) -> None:
    body = json.loads(file.read_text("utf-8"))
    assert set(body) & {"template", "index_patterns", "policy"}


def test_objects_come_in_the_order_in_which_they_depend_on_each_other() -> None:
    assert [resource.path for resource in load_resources(Index())] == [
        "_ilm/policy/claude-code-bot-policy",
        "_component_template/claude-code-bot@settings",
        "_component_template/claude-code-bot@mappings",
        "_component_template/claude-code-bot@lifecycle",
        "_index_template/claude-code-bot.fingerprints",
        "_component_template/claude-code-bot.traces@lifecycle",
        "_index_template/claude-code-bot.traces",
        "_index_template/claude-code-bot.undated",
        "_index_template/claude-code-bot",
    ]


def test_the_template_is_composed_of_what_is_installed_and_of_a_place_for_the_users_own() -> None:
    template = load_resources(Index())[-1].body
    assert template["index_patterns"] == list(log_index_patterns("claude-code-bot"))
    assert template["composed_of"] == [
        "claude-code-bot@settings",
        "claude-code-bot@mappings",
        "claude-code-bot@lifecycle",
        "claude-code-bot@custom",
    ]
    assert template["ignore_missing_component_templates"] == ["claude-code-bot@custom"]


def test_daily_indices_skip_rollover_and_age_by_the_day_in_their_name() -> None:
    assert lifecycle_settings(Index()) == {
        "index.lifecycle.name": "claude-code-bot-policy",
        "index.lifecycle.rollover_alias": "claude-code-bot",
        "index.lifecycle.indexing_complete": True,
        "index.lifecycle.parse_origination_date": True,
    }


def test_rolling_by_ilm_leaves_rollover_in_force() -> None:
    assert lifecycle_settings(Index(roll="ilm")) == {
        "index.lifecycle.name": "claude-code-bot-policy",
        "index.lifecycle.rollover_alias": "claude-code-bot",
    }


def lifecycle_settings(index: Index) -> dict[str, object]:
    (found,) = (one for one in load_resources(index) if one.name == f"{index.prefix}@lifecycle")
    settings: dict[str, object] = found.body["template"]["settings"]
    return settings


def test_without_ilm_nothing_refers_to_it() -> None:
    resources = load_resources(Index(), lifecycle=False)
    assert all(resource.kind is not Kind.POLICY for resource in resources)
    assert "lifecycle" not in json.dumps(resources)


@pytest.mark.parametrize("roll", ["day", "ilm"])
def test_another_prefix_names_everything(roll: str) -> None:
    resources = load_resources(Index.model_validate({"prefix": "other", "roll": roll}))
    assert "claude-code-bot" not in json.dumps(resources)
    assert [resource.name for resource in resources] == [
        "other-policy",
        "other@settings",
        "other@mappings",
        "other@lifecycle",
        "other.fingerprints",
        "other.traces@lifecycle",
        "other.traces",
        "other.undated",
        "other",
    ]
    assert resources[-1].body["index_patterns"] == list(log_index_patterns("other"))


def test_a_longer_prefix_is_not_replaced_twice() -> None:
    template = load_resources(Index(prefix="claude-code-bot-eu"))[-1]
    assert template.name == "claude-code-bot-eu"
    assert template.body["index_patterns"] == list(log_index_patterns("claude-code-bot-eu"))


def test_a_longer_prefix_has_a_higher_priority_and_the_files_have_that_of_theirs() -> None:
    priorities = {
        prefix: load_resources(Index(prefix=prefix))[-1].body["priority"] for prefix in ("a", "a-2")
    }
    assert priorities["a"] < priorities["a-2"]
    for resource in load_resources(Index())[-2:]:
        file = json.loads((ROOT / "mappings" / f"{resource.name}.json").read_text("utf-8"))
        assert resource.body["priority"] == file["priority"]


@pytest.mark.parametrize("lifecycle", [True, False])
def test_what_has_no_day_gets_the_same_fields_and_no_lifecycle(lifecycle: bool) -> None:
    undated, daily = load_resources(Index(prefix="logs"), lifecycle=lifecycle)[-2:]
    indices = Indices(Index(prefix="logs"), Events())
    assert undated.body["index_patterns"] == [indices.undated, indices.overflow]
    assert undated.body["priority"] > daily.body["priority"]
    assert undated.body["composed_of"] == [
        name for name in daily.body["composed_of"] if name != "logs@lifecycle"
    ]


def test_index_settings_of_the_caller_win() -> None:
    settings = load_resources(Index(), lifecycle=False, index_settings={"index.number_of_shards": "1"})[0]
    assert settings.body["template"]["settings"]["index.number_of_shards"] == "1"
    assert settings.body["template"]["settings"]["index.codec"] == "best_compression"


SHOW_RESOURCES = """
import pipeline
from pipeline.install import load_resources
from pipeline.install.kibana import load_saved_objects
from pipeline.settings import Index
print(pipeline.__file__)
print(*(one.path for roll in ("day", "ilm") for one in load_resources(Index(roll=roll))))
print(*(one.id for one in load_saved_objects("claude-code-bot")))
"""


def test_an_installed_wheel_has_the_files_in_an_empty_directory(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "uv", "build", "--wheel", "--quiet", "--out-dir", tmp_path, ROOT],
        check=True,
        timeout=100,
    )
    (wheel,) = tmp_path.glob("*.whl")
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    # What pip does with a pure wheel. Its dependencies are this environment's; -P keeps the checkout out.
    zipfile.ZipFile(wheel).extractall(installed)
    shown = subprocess.run(
        [sys.executable, "-P", "-c", SHOW_RESOURCES],
        cwd=empty,
        env={"PYTHONPATH": str(installed)},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.splitlines()
    assert shown[0] == str(installed / "pipeline" / "__init__.py")
    assert shown[1].split().count("_index_template/claude-code-bot") == 2
    assert "claude-code-bot-error-analysis" in shown[2].split()
