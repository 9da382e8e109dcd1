"""The Docker files, as far as they can be judged without Docker."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import SettingsError
from pipeline.install.kibana import Kibana
from pipeline.settings import Elasticsearch, Settings, Shutdown, load_settings

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ["setup", "dashboards", "pipeline", "demo"]
TRACES = ["otel-collector", "jaeger"]
ONE_SHOT = {"setup", "dashboards", "demo"}

# A tag that names one release: prom/prometheus:v3.5.0; Debian's have two numbers.
PINNED = re.compile(r"([a-z0-9-]+(/[a-z0-9-]+)?:v?\d+\.\d+\.\d+|debian:\d+\.\d+)(-[a-z0-9.-]+)?")

Instruction = tuple[str, str]


def instructions() -> list[Instruction]:
    """Read the Dockerfile as (INSTRUCTION, rest), continued lines joined, comments left out."""
    text = "\n".join(
        line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")
    )
    lines = [line for line in re.sub(r"\\\n\s*", " ", text).splitlines() if line.strip()]
    return [(keyword.upper(), rest.strip()) for keyword, _, rest in (line.partition(" ") for line in lines)]


def final_stage() -> list[Instruction]:
    steps = instructions()
    last_from = max(number for number, (keyword, _) in enumerate(steps) if keyword == "FROM")
    return steps[last_from:]


def seconds(duration: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(s|m)", duration).groups()  # type: ignore[union-attr]
    return int(number) * {"s": 1, "m": 60}[unit]


def load_as_container(service: str, monkeypatch: pytest.MonkeyPatch, empty: Path, **more: str) -> Settings:
    for variable in os.environ:
        if variable.startswith("LOGPIPE_"):
            monkeypatch.delenv(variable)
    monkeypatch.chdir(empty)
    for variable, value in {**SERVICES[service]["environment"], **more}.items():
        monkeypatch.setenv(variable, value)
    return load_settings()


def test_compose_file_keeps_to_the_compose_specification() -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    checked = subprocess.run(
        [checker, "--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_there_is_every_service() -> None:
    others = ["kafka", "elasticsearch", "kibana", "prometheus", "alertmanager", "grafana", *TRACES]
    assert set(SERVICES) == {*OURS, *others}


@pytest.mark.parametrize("service", SERVICES)
def test_image_is_pinned_to_a_release(service: str) -> None:
    assert PINNED.fullmatch(SERVICES[service]["image"])


@pytest.mark.parametrize(
    ("image", "accepted"),
    [
        ("apache/kafka:4.1.0", True),
        ("prom/prometheus:v3.5.0", True),
        ("python:3.13.7-slim-bookworm", True),
        ("debian:13.1-slim", True),
        ("debian:13-slim", False),
        ("apache/kafka:4.1", False),
        ("apache/kafka", False),
        ("apache/kafka:latest", False),
        ("python:3.13-slim", False),
        ("registry.example.com/team/kafka:4.1.0", False),
    ],
)
def test_what_counts_as_pinned(image: str, accepted: bool) -> None:
    assert bool(PINNED.fullmatch(image)) == accepted


def test_our_image_has_the_version_of_the_package() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert {SERVICES[service]["image"] for service in OURS} == {f"kafka-log-pipeline:{version[1]}"}


def test_elasticsearch_and_kibana_have_the_same_version() -> None:
    assert SERVICES["elasticsearch"]["image"].split(":")[1] == SERVICES["kibana"]["image"].split(":")[1]


@pytest.mark.parametrize("service", SERVICES)
def test_ports_are_published_on_loopback_only(service: str) -> None:
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in SERVICES[service].get("ports", []))


@pytest.mark.parametrize("service", SERVICES)
def test_mounted_files_exist_and_named_volumes_are_declared(service: str) -> None:
    for mount in SERVICES[service].get("volumes", []):
        source, target, *mode = mount.split(":")
        assert target.startswith("/")
        if source.startswith("."):
            assert (ROOT / source).exists(), mount
            assert mode == ["ro"], mount
        else:
            assert source in COMPOSE["volumes"], mount


def test_every_declared_volume_is_used() -> None:
    used = {mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])}
    assert set(COMPOSE["volumes"]) <= used


@pytest.mark.parametrize("service", SERVICES)
def test_memory_logs_and_restarts_are_limited(service: str) -> None:
    assert re.fullmatch(r"\d+[mg]", SERVICES[service]["mem_limit"])
    assert "max-size" in SERVICES[service]["logging"]["options"]
    assert (SERVICES[service]["restart"] == "unless-stopped") == (service not in ONE_SHOT)


@pytest.mark.parametrize("service", SERVICES)
def test_dependencies_can_be_waited_for(service: str) -> None:
    for dependency, waits in SERVICES[service].get("depends_on", {}).items():
        match waits["condition"]:
            case "service_completed_successfully":
                assert dependency in ONE_SHOT
            case "service_healthy":
                assert "test" in SERVICES[dependency]["healthcheck"]
            case condition:
                assert condition == "service_started"


def test_nothing_of_ours_starts_before_setup_is_done() -> None:
    for service in ("pipeline", "demo", "dashboards"):
        assert SERVICES[service]["depends_on"]["setup"] == {"condition": "service_completed_successfully"}
    assert {"kafka", "elasticsearch"} <= set(SERVICES["setup"]["depends_on"])


def waited_for(service: str) -> set[str]:
    """Name everything that a service waits for, directly or not."""
    direct = set(SERVICES[service].get("depends_on", {}))
    return direct.union(*map(waited_for, direct))


def test_delivery_waits_for_nothing_that_only_shows() -> None:
    assert waited_for("pipeline") == {"setup", "kafka", "elasticsearch"}


def test_the_password_of_grafana_is_said_where_one_starts() -> None:
    password = SERVICES["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"]
    (variable,) = re.findall(r"\$\{(\w+):-admin\}", password)
    for page in (ROOT / "docker-compose.yml", ROOT / "docs/try-it.md"):
        said = page.read_text().partition("services:")[0]
        assert f"{variable}" in said
        assert "`admin`" in said


def test_the_dashboards_are_brought_to_kibana() -> None:
    command, option, url = SERVICES["dashboards"]["command"]
    assert (command, option) == ("setup", "--kibana")
    assert Kibana(url, Elasticsearch()).url == "http://kibana:5601"
    assert "127.0.0.1:5601:5601" in SERVICES["kibana"]["ports"]


def test_the_demo_and_traces_run_only_when_asked_for() -> None:
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert profiles == {"demo": ["demo"], "otel-collector": ["traces"], "jaeger": ["traces"]}


def test_what_always_runs_depends_on_nothing_that_does_not() -> None:
    for name, service in SERVICES.items():
        for dependency in service.get("depends_on", {}):
            assert SERVICES[dependency].get("profiles", service.get("profiles")) == service.get("profiles"), (
                name
            )


def test_the_pipeline_is_given_the_time_to_stop_gracefully() -> None:
    assert seconds(SERVICES["pipeline"]["stop_grace_period"]) > Shutdown().timeout_seconds


@pytest.mark.parametrize("service", OURS)
def test_our_containers_have_no_privileges(service: str) -> None:
    assert SERVICES[service]["read_only"]
    assert SERVICES[service]["cap_drop"] == ["ALL"]
    assert SERVICES[service]["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("service", OURS)
def test_settings_are_real_and_lead_to_the_other_containers(
    service: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = load_as_container(service, monkeypatch, tmp_path)
    kafka = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert [f"INTERNAL://{server}" for server in settings.kafka.bootstrap_servers] == [kafka.split(",")[0]]
    assert settings.elasticsearch.hosts == ("http://elasticsearch:9200",)


def test_a_misspelt_setting_would_be_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="hostz"):
        load_as_container("pipeline", monkeypatch, tmp_path, LOGPIPE_ELASTICSEARCH__HOSTZ="http://es:9200")


def test_the_pipelines_port_is_the_same_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    http = load_as_container("pipeline", monkeypatch, tmp_path).http
    prometheus = yaml.safe_load((ROOT / "monitoring/prometheus/prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in prometheus["scrape_configs"]}
    assert http.host == "0.0.0.0"  # noqa: S104 - inside its container
    assert SERVICES["pipeline"]["ports"] == [f"127.0.0.1:{http.port}:{http.port}"]
    assert ("EXPOSE", str(http.port)) in final_stage()
    assert jobs["log-pipeline"]["static_configs"] == [{"targets": [f"pipeline:{http.port}"]}]
    assert jobs["log-pipeline"]["honor_labels"] is True
    assert "prometheus" in jobs
    assert any(
        rest.count(f"'127.0.0.1', {http.port}") for keyword, rest in final_stage() if keyword == "HEALTHCHECK"
    )


def test_grafana_finds_its_data_sources_and_dashboards() -> None:
    provisioning = ROOT / "monitoring/grafana/provisioning"
    sources = [
        source
        for file in (provisioning / "datasources").glob("*.yaml")
        for source in yaml.safe_load(file.read_text())["datasources"]
    ]
    assert {"prometheus", "elasticsearch"} <= {source["type"] for source in sources}
    assert len({source["uid"] for source in sources}) == len(sources)
    assert sum(source.get("isDefault", False) for source in sources) == 1
    for source in sources:
        assert re.match(r"http://([a-z]+):\d+", source["url"])[1] in SERVICES  # type: ignore[index]

    targets = [mount.split(":")[1] for mount in SERVICES["grafana"]["volumes"]]
    for file in (provisioning / "dashboards").glob("*.yaml"):
        for provider in yaml.safe_load(file.read_text())["providers"]:
            assert provider["options"]["path"] in targets


def test_prometheus_finds_its_alertmanager_and_that_its_configuration() -> None:
    prometheus = yaml.safe_load((ROOT / "monitoring/prometheus/prometheus.yml").read_text())
    targets = prometheus["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert targets == ["alertmanager:9093"]
    assert SERVICES["alertmanager"]["ports"] == ["127.0.0.1:9093:9093"]

    mounts = dict(mount.split(":")[:2] for mount in SERVICES["alertmanager"]["volumes"])
    options = dict(option.split("=") for option in SERVICES["alertmanager"]["command"])
    file = Path(options["--config.file"])
    directory = next(source for source, target in mounts.items() if target == str(file.parent))
    assert (ROOT / directory / file.name).exists()
    assert options["--storage.path"] in mounts.values()


def test_the_image_has_one_pinned_base() -> None:
    stages = [rest.split() for keyword, rest in instructions() if keyword == "FROM"]
    assert PINNED.fullmatch(stages[0][0])
    first = stages[0][-1]
    assert len(stages) == 3
    assert {stage[0] for stage in stages[1:]} == {first}, "what was installed in one has to run in the other"


def test_the_image_runs_as_a_user_that_is_not_root() -> None:
    users = [rest for keyword, rest in final_stage() if keyword == "USER"]
    assert users
    user = users[-1].split(":")[0]
    assert user.isdigit()
    assert int(user) > 0


def test_the_image_runs_logpipe_and_says_whether_it_lives() -> None:
    stage = dict(final_stage())
    assert stage["ENTRYPOINT"] == '["logpipe"]'
    assert "/health/live" in stage["HEALTHCHECK"]
    assert 'CMD ["python", "-c"' in stage["HEALTHCHECK"], "the slim image has neither curl nor wget"


def test_the_health_check_is_python() -> None:
    command = yaml.safe_load(dict(final_stage())["HEALTHCHECK"].partition("CMD ")[2])
    compile(command[2], "HEALTHCHECK", "exec")


def test_the_final_stage_takes_only_what_was_installed() -> None:
    copies = [rest for keyword, rest in final_stage() if keyword in {"COPY", "ADD"}]
    assert copies == ["--from=build /opt/logpipe /opt/logpipe"]


def test_what_is_copied_is_there_and_reaches_the_build() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    copied = [
        source.rstrip("/")
        for keyword, rest in instructions()
        if keyword == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    assert "*" in ignore
    assert set(copied) == allowed
    assert all((ROOT / source).exists() for source in copied)


def test_dependencies_are_installed_within_the_constraints() -> None:
    commands = [rest for keyword, rest in instructions() if keyword == "RUN"]
    installs = re.findall(r"pip --python \S+ install (\S+ \S+)", " ".join(commands))
    assert installs
    assert set(installs) == {"--constraint constraints.txt"}
