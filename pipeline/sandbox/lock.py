"""Resolve the servers' dependencies by Maven's rules and write the lock file.

    python -m pipeline.sandbox.lock

Needed only when a version in `artifacts.py` changes. Everybody else fetches by the lock file, which takes
seconds instead of the better part of a minute and gives every machine the same bytes.
"""

import dataclasses
import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Any

from jgo.maven import MavenContext
from jgo.parse import Coordinate

from pipeline.sandbox.artifacts import ELASTICSEARCH_VERSION, KAFKA_VERSION, LOCK_FILE, Jar

__all__ = ["main"]


def main() -> None:
    """Write the lock file beside this module."""
    with tempfile.TemporaryDirectory() as repository:
        maven = MavenContext(repo_cache=Path(repository))
        kafka = _resolve(
            maven, f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.slf4j:slf4j-simple:1.7.36"
        )
        server = _resolve(maven, f"org.elasticsearch:elasticsearch:{ELASTICSEARCH_VERSION}")
        http = _resolve(maven, f"org.elasticsearch.plugin:transport-netty4:{ELASTICSEARCH_VERSION}")
        # One of its dependencies is not published, and its ILM classes need none of them.
        x_pack = maven.project("org.elasticsearch.plugin", "x-pack-core").at_version(ELASTICSEARCH_VERSION)
        jars = [
            *_rows("kafka", kafka),
            *_rows("elasticsearch", server),
            *_rows("elasticsearch-http", {name: jar for name, jar in http.items() if name not in server}),
            *_rows("x-pack-core", {_coordinate(x_pack): x_pack.artifact()}),
        ]
    names: dict[str, str] = {}
    for jar in jars:
        if names.setdefault(jar.file_name, jar.sha256) != jar.sha256:
            raise SystemExit(f"two different jars are called {jar.file_name}: keep them in separate folders")
    header = "# bundle, coordinate, bytes, SHA-256; written by python -m pipeline.sandbox.lock"
    lines = [f"{jar.bundle} {jar.coordinate} {jar.size} {jar.sha256}" for jar in jars]
    Path(__file__).with_name(LOCK_FILE).write_text("\n".join([header, *lines]) + "\n", "utf-8")
    sys.stdout.write(f"{len(jars)} jars locked\n")


def _resolve(maven: MavenContext, *coordinates: str) -> dict[str, Any]:
    roots = [dataclasses.replace(Coordinate.parse(text), scope="compile") for text in coordinates]
    named, transitive = maven.resolver.resolve([maven.create_dependency(root) for root in roots])
    needed = [
        *named,
        *(dependency for dependency in transitive if dependency.scope in ("compile", "runtime")),
    ]
    return {_coordinate(dependency): dependency.artifact for dependency in needed}


def _coordinate(component: Any) -> str:
    return f"{component.groupId}:{component.artifactId}:{component.version}"


def _rows(bundle: str, artifacts: dict[str, Any]) -> list[Jar]:
    rows = []
    for coordinate, artifact in artifacts.items():
        content = artifact.resolve().read_bytes()
        rows.append(Jar(bundle, coordinate, len(content), hashlib.sha256(content).hexdigest()))
    return rows


if __name__ == "__main__":
    main()
