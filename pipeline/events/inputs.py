"""Which format a topic is said to have: the setting `inputs`, by topic or pattern."""

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase

from pipeline.errors import SettingsError
from pipeline.settings import Input

__all__ = ["FRAMINGS", "Inputs"]

FRAMINGS = ("auto", "guide", "text", "syslog", "otlp_proto", "confluent_json")
"""What a topic's format may be beside a name of `formats.toml`."""

_AUTO = Input()


class Inputs:
    """Look up what is set for a topic: its own name first, then the first pattern that fits.

    Raises SettingsError for a format that there is not.
    """

    def __init__(self, inputs: Mapping[str, Input], formats: Collection[str]) -> None:
        for name, each in inputs.items():
            if each.format not in FRAMINGS and each.format not in formats:
                raise SettingsError(
                    f'inputs."{name}".format = {each.format!r}: there are {", ".join(FRAMINGS)}, and those that '
                    "`logpipe formats` lists"
                )
        self._inputs = inputs
        self._found: dict[str, Input] = {}

    def of(self, topic: str) -> Input:
        """Give what is set for a topic, `auto` where nothing is."""
        found = self._found.get(topic)
        if found is None:
            found = self._inputs.get(topic) or next(
                (each for pattern, each in self._inputs.items() if fnmatchcase(topic, pattern)), _AUTO
            )
            self._found[topic] = found
        return found
