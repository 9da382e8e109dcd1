"""Write the pack with other values: every file of it, the copies that are made from others made anew."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from deploy import generate
from monitoring.pack.places import PLACES
from monitoring.pack.values import GUIDE, Values, load_values
from monitoring.pack.without_business import without_business
from pipeline.errors import SettingsError

__all__ = ["contents", "sources", "write"]

ROOT: Final = Path(__file__).parents[2]

# Of the repository: what a pack consists of.
_FILES: Final = (
    "monitoring/alertmanager/**/*",
    "monitoring/chaos/*",
    "monitoring/grafana/dashboards/*.json",
    "monitoring/grafana/provisioning/**/*.yaml",
    "monitoring/kibana/*.ndjson",
    "monitoring/load/*",
    "monitoring/otel-collector/*",
    "monitoring/prometheus/*.yml",
    "monitoring/prometheus/rules/*.yml",
    "monitoring/runbooks/*.md",
    "monitoring/synthetic/*",
    "deploy/README.md",
    "deploy/kubernetes/**/*.yaml",
    "deploy/helm/**/*",
    "deploy/systemd/*",
)
# Made of the rules, which stand in them more deeply indented.
_OF_THE_RULES: Final = {
    "deploy/kubernetes/prometheus-operator/prometheus-rule.yaml": generate.prometheus_rule,
    "deploy/helm/logpipe/files/prometheus-rules.yaml": generate.chart_rules,
}


def sources() -> dict[str, str]:
    """Give the committed files of the pack, which are written with the guide's values: path -> text."""
    found = sorted({file for pattern in _FILES for file in ROOT.glob(pattern) if file.is_file()})
    return {file.relative_to(ROOT).as_posix(): file.read_text("utf-8") for file in found}


def contents(values: Values, guide: Values | None = None) -> dict[str, str]:
    """Give the files of the pack for a product: path -> text.

    guide -- what the committed files are written with, unless it is monitoring/values.toml
    Raises SettingsError when they are not written with that: whoever changes values.toml itself changes nothing.
    """
    was = guide or load_values(GUIDE)
    texts = sources()
    _refuse_unknown(texts, was)
    if not values.product.business:
        texts = without_business(texts)
    made = {path: renamed(text, was, values, path) for path, text in texts.items()}
    rules = [made[f"monitoring/prometheus/rules/{name}.rules.yml"] for name in generate.RULES]
    made |= {path: make(rules) for path, make in _OF_THE_RULES.items()}
    return dict(sorted((renamed(path, was, values, path), text) for path, text in made.items()))


def write(files: dict[str, str], directory: Path) -> None:
    """Write the files below a directory, which is made where it is not there."""
    for path, text in files.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        if text.startswith("#!"):
            file.chmod(0o755)


def renamed(text: str, was: Values, values: Values, path: str) -> str:
    """Put the values in the place of those that a text is written with, in one pass: none is replaced twice."""
    by_text: dict[str, str] = {}
    for place in PLACES:
        if place.is_in(path):
            by_text.setdefault(place.text(was), place.text(values))
    either = "|".join(map(re.escape, by_text))
    return re.sub(either, lambda found: by_text[found[0]], text)


def _refuse_unknown(texts: dict[str, str], was: Values) -> None:
    for text in _missing(texts.items(), was):
        raise SettingsError(
            f"no file of the pack has {text!r}: {GUIDE} says what the committed files are written with. Leave it as it "
            "is; for another product change a copy, and give VALUES=copy OUT=directory"
        )


def _missing(texts: Iterable[tuple[str, str]], was: Values) -> Iterator[str]:
    held = list(texts)
    for place in PLACES:
        text = place.text(was)
        if not any(place.is_in(path) and text in content for path, content in held):
            yield text
