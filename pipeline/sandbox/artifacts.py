"""Fetch the servers' jars by their Maven coordinates, once, into a cache that processes may share."""

import hashlib
import logging
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.errors import SandboxError
from pipeline.sandbox.cache import CACHE_VARIABLE, cache_directory, exclusive

if TYPE_CHECKING:
    from jgo.maven import MavenContext

__all__ = [
    "ELASTICSEARCH_VERSION",
    "KAFKA_VERSION",
    "LOCK_FILE",
    "ElasticsearchJars",
    "Jar",
    "Report",
    "XPackCore",
    "elasticsearch_jars",
    "kafka_jars",
    "x_pack_core",
]

KAFKA_VERSION = "4.1.0"
ELASTICSEARCH_VERSION = "9.1.0"

LOCK_FILE = "jars.lock"
"""Every jar with its size and SHA-256, beside this module; `python -m pipeline.sandbox.lock` writes it."""

Report = Callable[[str], None]
"""Told, in one line of text, what is going on."""

_PARALLEL_DOWNLOADS = 8
_ATTEMPTS = 3
_MEGABYTE = 1_000_000


class Jar(NamedTuple):
    """One line of the lock file."""

    bundle: str
    coordinate: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        """Return the name that Maven gives the file; the lock's writer sees to it that none occurs twice."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


class ElasticsearchJars(NamedTuple):
    """What the server runs from, and what belongs into its HTTP module instead of its module path."""

    server: tuple[Path, ...]
    http: tuple[Path, ...]


class XPackCore(NamedTuple):
    """The x-pack-core jar, and the class path on which its ILM classes work (the jar itself included)."""

    jar: Path
    classpath: tuple[Path, ...]


def kafka_jars(cache: Path | None = None, report: Report | None = None) -> tuple[Path, ...]:
    """Return the class path of Kafka's broker and its tools, fetching what is missing.

    Raises SandboxError when a jar cannot be fetched or is not the one that the lock file names.
    """
    return _resolved(("kafka",), f"Kafka {KAFKA_VERSION}", cache, report)["kafka"]


def elasticsearch_jars(cache: Path | None = None, report: Report | None = None) -> ElasticsearchJars:
    """Return the jars of Elasticsearch's server and of its HTTP module, fetching what is missing.

    Raises SandboxError when a jar cannot be fetched or is not the one that the lock file names.
    """
    bundles = ("elasticsearch", "elasticsearch-http")
    jars = _resolved(bundles, f"Elasticsearch {ELASTICSEARCH_VERSION}", cache, report)
    return ElasticsearchJars(*(jars[bundle] for bundle in bundles))


def x_pack_core(cache: Path | None = None, report: Report | None = None) -> XPackCore:
    """Return what it takes to parse a policy with Elasticsearch's own `xpack.core.ilm.LifecyclePolicy`.

    The jar is under the Elastic License 2.0: it is fetched for checks on this machine and never shipped.

    Raises SandboxError when a jar cannot be fetched or is not the one that the lock file names.
    """
    jars = _resolved(("x-pack-core",), f"x-pack-core {ELASTICSEARCH_VERSION}", cache, report)
    (jar,) = jars["x-pack-core"]
    return XPackCore(jar, (jar, *elasticsearch_jars(cache, report).server))


@lru_cache(maxsize=1)
def _locked_jars() -> tuple[Jar, ...]:
    text = files(__package__).joinpath(LOCK_FILE).read_text("utf-8")
    rows = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return tuple(Jar(bundle, coordinate, int(size), digest) for bundle, coordinate, size, digest in rows)


def _resolved(
    bundles: Sequence[str], title: str, cache: Path | None, report: Report | None
) -> dict[str, tuple[Path, ...]]:
    folder = cache_directory(cache) / "jars"
    jars = [jar for jar in _locked_jars() if jar.bundle in bundles]
    if _missing(jars, folder):
        with exclusive(folder):
            # Another process may have fetched them while this one waited for the lock.
            if missing := _missing(jars, folder):
                if report:
                    megabytes = max(1, sum(jar.size for jar in missing) // _MEGABYTE)
                    report(f"fetching {title} ({megabytes} MB, once)")
                _fetch(missing, folder)
    return {
        bundle: tuple(folder / jar.file_name for jar in jars if jar.bundle == bundle) for bundle in bundles
    }


def _missing(jars: Sequence[Jar], folder: Path) -> list[Jar]:
    """Return the jars that are not there whole: their digests were checked before they got their names."""
    return [jar for jar in jars if not _has_size(folder / jar.file_name, jar.size)]


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _fetch(jars: Sequence[Jar], folder: Path) -> None:
    staging = folder / ".fetching"
    shutil.rmtree(staging, ignore_errors=True)  # what a killed process left there
    try:
        fetch_one = partial(_fetch_one, _maven(staging), folder)
        with ThreadPoolExecutor(_PARALLEL_DOWNLOADS) as pool:
            for _ in pool.map(fetch_one, jars):
                pass
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _maven(staging: Path) -> "MavenContext":
    try:
        from jgo.config import GlobalSettings  # noqa: PLC0415 - takes 0.4 s, and is in an optional extra
        from jgo.maven import MavenContext  # noqa: PLC0415
    except ImportError as error:
        raise SandboxError(
            "the sandbox is not installed: python -m pip install 'kafka-log-pipeline[sandbox]'"
        ) from error
    logging.getLogger("jgo").setLevel(logging.ERROR)  # what it would warn of is checked here
    context = MavenContext(repo_cache=staging)
    context.remote_repos.update(GlobalSettings.load().repositories)  # a mirror named in jgo's own settings
    return context


def _fetch_one(context: "MavenContext", folder: Path, jar: Jar) -> None:
    group, artifact, version = jar.coordinate.split(":")
    failure = ""
    for _ in range(_ATTEMPTS):
        try:
            staged = Path(context.project(group, artifact).at_version(version).artifact().resolve())
            digest = hashlib.sha256(staged.read_bytes()).hexdigest()
            if digest == jar.sha256:
                staged.replace(folder / jar.file_name)
                return
            failure = f"its SHA-256 is {digest} instead of {jar.sha256}"
        except (OSError, RuntimeError) as error:  # requests' exceptions are OSErrors
            failure = str(error)
        # jgo would take a file that was cut short for a whole one.
        shutil.rmtree(context.repo_cache.joinpath(*group.split("."), artifact, version), ignore_errors=True)
    raise SandboxError(
        f"could not fetch {jar.coordinate}: {failure}; is the network there? "
        f"A filled cache may be copied from another machine and named with {CACHE_VARIABLE}"
    )
