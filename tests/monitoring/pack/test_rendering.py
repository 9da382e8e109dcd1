"""The pack for another product: whole, valid for the tools that read it, and without a word of the guide's product."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.grafana.source.links import page_of
from monitoring.pack import GUIDE, Values, contents, load_values, write
from monitoring.pack.render import renamed
from tests.monitoring import test_grafana as grafana
from tests.monitoring.manifests import assert_valid, kustomized
from tests.monitoring.tools import find

ROOT = Path(__file__).parents[3]
ACME = Path(__file__).with_name("acme.toml")
THE_GUIDES_WORDS = re.compile(
    r"claude|ccb-|anthropic|moscow|ops-(critical|warnings)|integrations_|integration_(stage|service)"
    r"|(LowIntegration|IntegrationFailure)",
    re.IGNORECASE,
)
VALUES = load_values(ACME)
PACK = contents(VALUES)
PAGES = {Path(path).stem: text for path, text in PACK.items() if path.startswith("monitoring/runbooks/")}
BOARDS = {Path(path).stem: json.loads(text) for path, text in PACK.items() if "/grafana/dashboards/" in path}
OBJECTS = [json.loads(line) for line in PACK["monitoring/kibana/shop-logs.ndjson"].splitlines()]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pack")
    write(PACK, directory)
    return directory


def ran(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> list[dict[str, Any]]:
    return [
        rule
        for path, text in PACK.items()
        if path.startswith("monitoring/prometheus/rules/")
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
    ]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


def test_the_committed_files_are_the_rendering_of_the_guides_values() -> None:
    for path, text in contents(load_values(GUIDE)).items():
        assert (ROOT / path).read_text("utf-8") == text, f"{path}: run `make dashboards` and `make deploy`"


def test_what_names_the_product_is_part_of_the_pack() -> None:
    """So that no new directory is forgotten."""
    files = [file for part in ("monitoring", "deploy") for file in (ROOT / part).rglob("*") if file.is_file()]
    tracked = [file.relative_to(ROOT).as_posix() for file in files if "__pycache__" not in file.parts]
    named = {
        path for path in tracked if re.search(r"claude|ccb-", (ROOT / path).read_text("utf-8"), re.IGNORECASE)
    }
    ours = {
        path
        for path in named
        if re.search(r"/source/|^monitoring/(pack|prometheus/tests)/|values\.toml", path)
    }
    assert named - ours <= set(contents(load_values(GUIDE)))


def test_no_word_of_the_guides_product_remains() -> None:
    left = {
        path: found[0]
        for path, text in PACK.items()
        for part in (path, text)
        if (found := THE_GUIDES_WORDS.search(part))
    }
    assert left == {}


def test_every_value_of_the_product_is_in_its_pack() -> None:
    everything = "\n".join([*PACK, *PACK.values()])
    given = VALUES.model_dump()
    del given["synthetic"]  # of the check that is left out with the business
    texts = [text for group in given.values() for text in group.values() if isinstance(text, str)]
    hours = {VALUES.business_hours.first_day, VALUES.business_hours.last_day}
    assert [text for text in texts if text not in everything and text not in hours] == []


def test_the_rules_are_valid_and_find_their_own_job(written: Path) -> None:
    ran(
        find("promtool"),
        "check",
        "rules",
        "--lint-fatal",
        *sorted((written / "monitoring/prometheus/rules").iterdir()),
    )
    jobs = {job for rule in rules() for job in re.findall(r'job="([^"]+)"', rule["expr"])}
    assert jobs == {"acme-shop", "log-pipeline"}


def test_the_configurations_are_valid(written: Path) -> None:
    assert "3 rule files found" in ran(
        find("promtool"), "check", "config", written / "monitoring/prometheus/prometheus.yml"
    )
    for name in ("alertmanager", "alertmanager-local"):
        ran(find("amtool"), "check-config", written / f"monitoring/alertmanager/{name}.yml")
    cluster = yaml.safe_load(PACK["monitoring/prometheus/prometheus-kubernetes.yml"])
    assert cluster["global"]["external_labels"]["product"] == "acme-shop"
    jobs = {job["job_name"]: job for job in cluster["scrape_configs"]}
    assert jobs["acme-shop"]["kubernetes_sd_configs"] == [
        {"role": "pod", "namespaces": {"names": ["shop-production"]}}
    ]
    assert jobs["cadvisor"]["metric_relabel_configs"][0]["regex"] == "shop-production"


def test_messages_are_written_by_the_products_templates() -> None:
    templates = PACK["monitoring/alertmanager/templates/acme-shop.tmpl"]
    used = re.findall(r'template "([^"]+)"', PACK["monitoring/alertmanager/alertmanager.yml"])
    assert used
    assert set(used) <= set(re.findall(r'define "([^"]+)"', templates))


def test_every_alert_leads_to_a_page_of_the_pack() -> None:
    assert len(ALERTS) > 40
    for name, rule in ALERTS.items():
        assert rule["annotations"]["runbook_url"] == f"https://wiki.acme.example/runbooks/{page_of(name)}"
    assert set(PAGES) == {"README", *map(page_of, ALERTS)}


@pytest.mark.parametrize("name", PAGES)
def test_pages_lead_to_pages_and_their_commands_can_be_read(name: str) -> None:
    for link in re.findall(r"\]\(([a-z-]+)\.md\)", PAGES[name]):
        assert link in PAGES
    for block in re.findall(r"^```bash\n(.*?)^```$", PAGES[name], re.MULTILINE | re.DOTALL):
        assert block.strip()
        checked = subprocess.run(
            ["/bin/bash", "-n"], input=block, capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stderr


def test_without_the_business_no_alert_waits_for_it() -> None:
    assert not {"ExternalAPIRateLimit", "WebhookProcessingLag"} & set(ALERTS)
    named = {
        alert
        for alternatives in re.findall(
            r'alertname=~?"([^"]+)"', PACK["monitoring/alertmanager/alertmanager.yml"]
        )
        for alert in alternatives.split("|")
    }
    assert [one for one in named if not any(re.fullmatch(one, alert) for alert in ALERTS)] == []


@pytest.mark.parametrize("name", BOARDS)
def test_dashboards_are_whole(name: str) -> None:
    board = BOARDS[name]
    assert board["uid"] == f"shop-{name}"
    assert board["title"].startswith("Acme Shop - ")
    grafana.test_panels_tile_the_grid(board)
    grafana.test_every_variable_that_is_used_is_offered_and_the_other_way_round(board)
    headings = [panel["type"] == "row" for panel in board["panels"]]
    assert (True, True) not in set(zip(headings, [*headings[1:], True], strict=True)), "a heading of nothing"
    linked = set(re.findall(r'"/d/([\w-]+)', json.dumps(board)))
    assert linked <= {other["uid"] for other in BOARDS.values()}
    pages = set(re.findall(r"\$\{runbook_base_url\}/([a-z-]+)", json.dumps(board)))
    assert pages <= set(PAGES)


def test_dashboards_ask_for_what_is_recorded_and_only_for_that() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    asked = {
        metric
        for board in BOARDS.values()
        for panel in grafana.panels(board)
        for query in panel["targets"]
        if "expr" in query
        for metric in grafana.metrics_of(query["expr"].replace("$", ""))
        if ":" in metric
    }
    assert asked
    assert asked <= recorded


def test_kibanas_objects_refer_to_each_other_and_fill_the_grid() -> None:
    known = {(one["type"], one["id"]) for one in OBJECTS}
    for one in OBJECTS:
        assert one["id"].startswith("shop-logs")
        assert {(each["type"], each["id"]) for each in one["references"]} <= known
        if one["type"] == "dashboard":
            grids = [panel["gridData"] for panel in json.loads(one["attributes"]["panelsJSON"])]
            taken = [
                (x, y)
                for grid in grids
                for x in range(grid["x"], grid["x"] + grid["w"])
                for y in range(grid["y"], grid["y"] + grid["h"])
            ]
            assert len(taken) == len(set(taken))
            assert {x for x, _ in taken} == set(range(48))
            assert len(taken) == 48 * (max(y for _, y in taken) + 1)


@pytest.mark.parametrize(
    "directory",
    [
        "deploy/kubernetes",
        "monitoring/synthetic",
        "monitoring/otel-collector",
        "monitoring/load",
    ],
)
def test_manifests_are_kubernetes_own_and_in_the_products_namespace(directory: str, written: Path) -> None:
    found = kustomized(written / directory)
    assert found
    for one in found:
        assert one["metadata"]["namespace"] == "shop-production"
        assert_valid(one)


def test_the_pipeline_is_set_to_the_products_topic_and_indices(written: Path) -> None:
    (settings,) = [
        one
        for one in kustomized(written / "deploy/kubernetes")
        if one["metadata"]["name"] == "log-pipeline" and one["kind"] == "ConfigMap"
    ]
    assert settings["data"]["LOGPIPE_INDEX__PREFIX"] == "shop-logs"
    assert settings["data"]["LOGPIPE_KAFKA__TOPICS"] == "shop.events"
    chart = yaml.safe_load(PACK["deploy/helm/logpipe/values.yaml"])
    assert chart["settings"]["index"]["prefix"] == "shop-logs"
    assert chart["settings"]["kafka"]["topics"] == ["shop.events"]
    assert chart["prometheusRule"]["runbookBaseUrl"] == "https://wiki.acme.example/runbooks"


def names_only() -> Values:
    """Give the product's names, with the guide's business and hours; in the tests two names are one word."""
    guide = load_values(GUIDE)
    product = VALUES.product.model_copy(update={"business": True, "namespace": VALUES.product.name})
    synthetic = VALUES.synthetic.model_copy(update={"repository": f"{VALUES.product.name}/synthetic"})
    changed = {"product": product, "synthetic": synthetic, "business_hours": guide.business_hours}
    return VALUES.model_copy(update=changed)


@pytest.mark.parametrize("name", ["business", "critical", "digest", "infrastructure", "platform", "silence"])
def test_the_unit_tests_of_the_rules_hold_for_the_products_names(name: str, tmp_path: Path) -> None:
    values = names_only()
    write(contents(values), tmp_path)
    text = (ROOT / f"monitoring/prometheus/tests/{name}.yml").read_text("utf-8")
    file = tmp_path / f"monitoring/prometheus/tests/{name}.yml"
    file.parent.mkdir()
    # Their names stand where those of the rules do.
    file.write_text(renamed(text, load_values(GUIDE), values, f"monitoring/prometheus/rules/{name}.yml"))
    ran(find("promtool"), "test", "rules", file)
