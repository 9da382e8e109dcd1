"""The systemd unit, judged by systemd, and what it relies on in the pipeline."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pipeline.settings import Shutdown, load_settings
from tests.monitoring.manifests import DEPLOY

UNIT = DEPLOY / "systemd/logpipe.service"
README = (DEPLOY / "README.md").read_text()
LOGPIPE = Path(sys.executable).with_name("logpipe")
PROGRAM = "/opt/logpipe/bin/logpipe"
GOOD_ENOUGH = {"OK", "SAFE", "PERFECT"}

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed: the unit is not judged"
)


def directives(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


def directive(name: str) -> str:
    (value,) = directives(name)
    return value


def analyze(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["systemd-analyze", *arguments],  # noqa: S607 - of the PATH
        capture_output=True,
        text=True,
        check=False,
    )


def exposure(unit: Path) -> str:
    """Give systemd's word for how exposed the service is."""
    judged = analyze("security", "--offline=true", "--no-pager", unit)
    found = re.search(r"Overall exposure level for logpipe\.service: [\d.]+ (\w+)", judged.stdout)
    assert found, judged.stdout + judged.stderr
    return found[1]


def installed(directory: Path, text: str) -> Path:
    """Write the unit as it would be where the virtual environment is that of the tests."""
    unit = directory / "logpipe.service"
    unit.write_text(text.replace(PROGRAM, str(LOGPIPE)))
    return unit


@needs_systemd
def test_systemd_finds_the_exposure_ok() -> None:
    assert exposure(UNIT) in GOOD_ENOUGH


@needs_systemd
def test_a_unit_without_its_hardening_would_not_be_ok(tmp_path: Path) -> None:
    hardening = r"^(Protect|Private|Restrict|System|Capability|No|Dynamic|Memory|Lock|Remove|UMask).*\n"
    bare = re.sub(hardening, "", UNIT.read_text(), flags=re.MULTILINE)
    assert exposure(installed(tmp_path, bare)) not in GOOD_ENOUGH


@needs_systemd
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    verified = analyze("verify", installed(tmp_path, UNIT.read_text()))
    assert (verified.returncode, verified.stderr) == (0, "")


@needs_systemd
def test_a_mistake_in_the_unit_would_be_noticed(tmp_path: Path) -> None:
    verified = analyze("verify", installed(tmp_path, UNIT.read_text().replace("KillMode", "KilMode")))
    assert "KilMode" in verified.stderr


def test_the_command_is_that_of_the_virtual_environment_and_its_settings() -> None:
    assert directive("ExecStart") == f"{PROGRAM} run --config /etc/logpipe/logpipe.toml"


def test_wrong_settings_are_not_tried_again(tmp_path: Path) -> None:
    config = tmp_path / "logpipe.toml"
    config.write_text("[kafka]\nbootstrap = 'kafka:9092'\n")
    ended = subprocess.run(
        [LOGPIPE, "run", "--config", config], capture_output=True, text=True, check=False, timeout=60
    )
    assert str(ended.returncode) == directive("RestartPreventExitStatus"), ended.stderr
    assert "kafka.bootstrap" in ended.stderr


def test_credentials_are_read_under_the_names_that_systemd_gives_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file of a directory that is loaded is named ID_FILE (systemd.exec(5), LoadCredential=)."""
    name, _, directory = directive("LoadCredential").partition(":")
    files = re.findall(rf"{directory}/(\w+)$", README, re.MULTILINE)
    assert len(files) == 2
    for file in files:
        (tmp_path / f"{name}_{file}").write_text(f"of {file}\n")
    assert "LOGPIPE_SECRETS_DIR=%d" in directives("Environment")
    monkeypatch.setenv("LOGPIPE_SECRETS_DIR", str(tmp_path))
    config = tmp_path / "logpipe.toml"
    (toml,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    config.write_text(toml)
    assert {*tomllib.loads(toml)} == {"kafka", "elasticsearch"}
    settings = load_settings(config)
    assert settings.kafka.sasl_password is not None
    assert settings.kafka.sasl_password.get_secret_value() == "of kafka__sasl_password"
    assert settings.elasticsearch.api_key is not None
    assert settings.elasticsearch.api_key.get_secret_value() == "of elasticsearch__api_key"


def test_there_is_time_to_stop_gracefully() -> None:
    # The supervisor waits some seconds more than its workers do.
    assert float(directive("TimeoutStopSec")) >= Shutdown().timeout_seconds + 30


# What MemoryDenyWriteExecute= forbids, asked of the kernel: prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN).
WITHOUT_EXECUTABLE_MEMORY = """\
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's prctl")
def test_the_pipeline_works_where_no_memory_becomes_executable() -> None:
    event = json.dumps({"timestamp": "2026-01-02T03:04:05Z", "level": "INFO", "message": "started"})
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXECUTABLE_MEMORY, LOGPIPE, "transform"],
        input=event,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if ended.returncode == 77:
        pytest.skip("the kernel is older than 6.3 and does not know PR_SET_MDWE")
    assert ended.returncode == 0, ended.stderr
    assert "started" in ended.stdout
