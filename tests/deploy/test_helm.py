"""What happens where helm is not there."""

from pathlib import Path

import pytest

from tests.deploy import helm


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Leave nothing on the PATH and nothing built."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(helm, "BUILT", tmp_path / "built/helm")
    return tmp_path


@pytest.mark.usefixtures("nothing")
def test_without_helm_and_go_there_is_none_and_nothing_fails() -> None:
    assert helm.build() is False
    assert helm.find() is None


def test_a_helm_on_the_path_is_taken(nothing: Path) -> None:
    program = nothing / "helm"
    program.touch(mode=0o755)
    assert helm.build() is True
    assert helm.find() == program


def test_helm_is_built_where_only_go_is(nothing: Path) -> None:
    (nothing / "go").write_text('#!/bin/sh\necho "$@" > "$GOBIN.asked"\n')
    (nothing / "go").chmod(0o755)
    assert helm.build() is True
    assert (nothing / "built.asked").read_text().split()[-1] == helm.MODULE


def test_a_build_that_fails_leaves_none(nothing: Path) -> None:
    (nothing / "go").write_text("#!/bin/sh\nexit 1\n")
    (nothing / "go").chmod(0o755)
    assert helm.build() is False
