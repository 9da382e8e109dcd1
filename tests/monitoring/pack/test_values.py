"""The file of values: what is wrong in it is refused by name, and what `make` does with it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from monitoring.pack import GUIDE, contents, load_values
from pipeline.errors import SettingsError

ROOT = Path(__file__).parents[3]
ACME = Path(__file__).with_name("acme.toml")


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ('name = "acme-shop"', 'name = "Acme Shop"', "product.name"),
        ('namespace = "shop-production"\n', "", "product.namespace: Field required"),
        ('title = "Acme Shop"', 'titel = "Acme Shop"', "product.titel: Extra inputs"),
        ('title = "Acme Shop"', "title = 'Acme \"Shop\"'", "product.title"),
        ("/runbooks", "/runbooks/", "urls.runbook_base_url"),
        ("https://shop.acme.example", "shop.acme.example", "urls.api"),
        ("Europe/Berlin", "Europe/Bielefeld", "'Europe/Bielefeld' is not a time zone, such as Europe/Berlin"),
        ('to = "20:00"', 'to = "06:00"', "hours over midnight are not supported"),
        ('last_day = "saturday"', 'last_day = "sunday"', "first_day comes after last_day"),
        ('last_day = "saturday"', 'last_day = "sat"', "business_hours.last_day"),
        ("[2025, 2028]", "[2028, 2025]", "the first of the years"),
        ("[slack]", "[slack", "cannot be read"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(was: str, becomes: str, said: str, tmp_path: Path) -> None:
    text = ACME.read_text()
    assert was in text
    file = tmp_path / "wrong.toml"
    file.write_text(text.replace(was, becomes))
    with pytest.raises(SettingsError, match=re.escape(said)) as refused:
        load_values(file)
    assert str(file) in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml cannot be read"):
        load_values(tmp_path / "none.toml")


def test_values_that_the_committed_files_do_not_have_are_refused() -> None:
    """Somebody has changed monitoring/values.toml itself, and expects something to happen."""
    with pytest.raises(SettingsError, match=r"no file of the pack has .+ give VALUES=copy OUT=directory"):
        contents(load_values(ACME), guide=load_values(ACME))


def pack(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "monitoring.pack", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_writes_what_contents_gives(tmp_path: Path) -> None:
    done = pack(ACME, tmp_path / "out")
    expected = contents(load_values(ACME))
    assert (done.returncode, done.stdout) == (0, f"{len(expected)} files in {tmp_path}/out\n")
    found = {
        file.relative_to(tmp_path / "out").as_posix(): file.read_text("utf-8")
        for file in (tmp_path / "out").rglob("*")
        if file.is_file()
    }
    assert found == expected
    script = tmp_path / "out/monitoring/synthetic/synthetic-monitor.sh"
    assert script.stat().st_mode & 0o111


def test_the_command_says_what_is_wrong_and_writes_nothing(tmp_path: Path) -> None:
    done = pack(tmp_path / "none.toml", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.startswith(f"{tmp_path}/none.toml cannot be read")
    assert not (tmp_path / "out").exists()


def make(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/usr/bin/env", "make", "--dry-run", "dashboards", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_hands_on_values_and_directory() -> None:
    assert 'monitoring.pack "shop.toml" "build/shop"' in make("VALUES=shop.toml", "OUT=build/shop").stdout
    assert f'monitoring.pack "{GUIDE.relative_to(ROOT)}" "build"' in make("OUT=build").stdout
    assert "monitoring.pack" not in make().stdout


def test_make_wants_a_directory_for_other_values() -> None:
    refused = make("VALUES=shop.toml")
    assert refused.returncode != 0
    assert "VALUES=shop.toml needs OUT=directory" in refused.stderr
