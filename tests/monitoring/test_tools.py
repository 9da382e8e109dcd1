"""What happens where the programs are not there."""

from pathlib import Path

import pytest

from tests.monitoring import tools


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Leave nothing on the PATH and nothing unpacked."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools, "UNPACKED", tmp_path / "unpacked")
    return tmp_path


@pytest.mark.parametrize(("program", "package"), tools.PACKAGES.items())
@pytest.mark.usefixtures("nothing")
def test_a_missing_program_is_named_with_its_package(program: str, package: str) -> None:
    with pytest.raises(tools.ToolMissing, match=rf"^{program} is missing: .* package {package}$"):
        tools.find(program)


def test_without_apt_the_packages_are_named(nothing: Path) -> None:
    with pytest.raises(tools.ToolMissing, match="the packages prometheus and prometheus-alertmanager;"):
        tools.install(nothing / "unpacked")


@pytest.mark.parametrize("name", ["alertmanager", "prometheus-alertmanager"])
def test_a_program_on_the_path_is_taken_under_either_name(name: str, nothing: Path) -> None:
    program = nothing / name
    program.touch(mode=0o755)
    assert tools.find("alertmanager") == program
