"""Where in the pack's files a value stands: the words that hold it, as a function of the values.

Words say which of two values is meant where both are spelled alike: the guide's namespace, job and indices all are
`claude-code-bot`. More words come before fewer. What the committed files have is the text of the guide's values; each
place is found in them, or `contents` refuses.
"""

from collections.abc import Callable
from fnmatch import fnmatch
from typing import Final, NamedTuple

from monitoring.pack.business_hours import digest_windows, local_time_rule, time_interval
from monitoring.pack.values import Values

__all__ = ["PLACES", "Place"]

_RULES: Final = "*/prometheus/rules/*.yml"
_ALERTMANAGER: Final = "*/alertmanager/*.yml"
_KIBANA: Final = "*.ndjson"
_PAGES: Final = "*.md"
_EVERYWHERE: Final = "*"


class Place(NamedTuple):
    """Files (a pattern of their paths), and the text in them that holds values."""

    files: str
    text: Callable[[Values], str]

    def is_in(self, path: str) -> bool:
        """Say whether a file may hold it."""
        return fnmatch(path, self.files)


def _words(files: str, words: str, name: Callable[[Values], str]) -> Place:
    """Make the place of a name among the words that say which it is; {} stands for it."""
    return Place(files, lambda values: words.format(name(values)))


def _chosen_namespace(values: Values) -> str:
    name = values.product.namespace
    return f'"text": [\n            "{name}"\n          ],\n          "value": [\n            "{name}"\n          ]'


PLACES: Final = (
    Place(_RULES, lambda values: local_time_rule(values.business_hours)),
    Place(_RULES, lambda values: digest_windows(values.business_hours)),
    Place(_ALERTMANAGER, lambda values: time_interval(values.business_hours)),
    Place(_EVERYWHERE, lambda values: values.urls.runbook_base_url),
    Place(_EVERYWHERE, lambda values: values.urls.api),
    Place(_EVERYWHERE, lambda values: values.urls.api_path),
    Place(_EVERYWHERE, lambda values: values.urls.staging),
    Place(_EVERYWHERE, lambda values: values.urls.watchdog),
    Place(_EVERYWHERE, lambda values: values.synthetic.repository),
    Place(_EVERYWHERE, lambda values: values.slack.critical),
    Place(_EVERYWHERE, lambda values: values.slack.warnings),
    # Where all names are ids and patterns of indices.
    Place(_KIBANA, lambda values: values.logs.index_prefix),
    Place(_EVERYWHERE, lambda values: values.logs.topic),
    *(
        _words(_EVERYWHERE, words, lambda values: values.logs.index_prefix)
        for words in (
            "{}.dead-letters",
            "{}.fingerprints",
            "{}-undated",
            "{}-overflow",
            "{}-YYYY",
            "{}-2026",
            "{}-policy",
            "{}-*",
            "{}*/",
            "{}*?",
            'index=~"{}.*"',
            "LOGPIPE_INDEX__PREFIX: {}",
            "prefix: {}",
        )
    ),
    *(
        _words(_EVERYWHERE, words, lambda values: values.product.namespace)
        for words in (
            "namespace: {}",
            "names: [{}]",
            'namespace="{}"',
            "namespace {}",
            "appns: {}",
            "regex: {}",
            "NS={}",
            "-n {} ",
        )
    ),
    Place("*/grafana/dashboards/*.json", _chosen_namespace),
    *(
        _words(_PAGES, words, lambda values: values.services.api)
        for words in ("app={} ", "app={}\n", "{}-deployment", "service={}\n", "`{}`")
    ),
    *(
        _words(_PAGES, words, lambda values: values.services.worker)
        for words in ("app={} ", "app={}\n", "{}-deployment", "`{}`")
    ),
    *(_words(_PAGES, words, lambda values: values.services.webhooks) for words in ("{}-deployment", "`{}`")),
    Place(_RULES, lambda values: f"service: {values.services.webhooks}"),
    Place(_EVERYWHERE, lambda values: values.product.title),
    Place(_EVERYWHERE, lambda values: values.product.name),
    Place(_EVERYWHERE, lambda values: f"{values.product.uid_prefix}-"),
)
