"""The printed roles allow what each command does and little else, says Elasticsearch's own code."""

import json
import subprocess
import sys
from typing import Literal

import pytest

from pipeline.install.roles import elasticsearch_roles
from pipeline.sandbox import x_pack_core
from pipeline.sandbox.java import java_library
from pipeline.settings import load_settings

Roll = Literal["day", "ilm"]
BULK = ("indices:data/write/bulk", "indices:data/write/bulk[s]", "indices:data/write/index:op_type/create")
SEARCH = ("indices:data/read/search", "indices:data/read/open_point_in_time", "indices:admin/refresh")
TEMPLATES = (
    "indices:admin/index_template/get",
    "indices:admin/index_template/put",
    "indices:admin/index_template/delete",
    "indices:admin/index_template/simulate",
    "indices:admin/index_template/simulate_index",
    "cluster:admin/component_template/get",
    "cluster:admin/component_template/put",
    "cluster:admin/component_template/delete",
)

# roll, role, index (or the cluster), action, allowed?
TABLE: list[tuple[Roll, str, str | None, str, bool]] = [
    # run, index, check
    *(("day", "worker", "p-2024.01.15", action, True) for action in BULK),
    *(("ilm", "worker", "p", action, True) for action in BULK),
    ("day", "worker", "p-2024.01.15", "indices:admin/auto_create", True),
    ("day", "worker", "p-2024.01.15", "indices:admin/mapping/auto_put", True),
    ("day", "worker", None, "cluster:monitor/health", True),
    ("day", "worker", None, "indices:admin/index_template/get", True),
    ("day", "worker", "p-2024.01.15", "indices:data/write/index:op_type/index", False),
    ("day", "worker", "p-2024.01.15", "indices:data/write/update", False),
    ("day", "worker", "p-2024.01.15", "indices:data/write/delete", False),
    ("day", "worker", "p-2024.01.15", "indices:data/read/search", False),
    ("day", "worker", "p-2024.01.15", "indices:admin/delete", False),
    ("day", "worker", "p-2024.01.15", "indices:admin/mapping/put", False),
    ("day", "worker", "other-2024.01.15", "indices:data/write/bulk", False),
    ("day", "worker", "p-staging-2024.01.15", "indices:data/write/bulk", False),
    ("day", "worker", "p-undated", "indices:data/write/bulk", True),
    ("day", "worker", "p-overflow", "indices:data/write/bulk", True),
    ("day", "worker", "p", "indices:data/write/bulk", False),
    ("day", "worker", None, "indices:admin/index_template/put", False),
    ("day", "worker", None, "cluster:admin/settings/update", False),
    # setup
    *(("day", "setup", None, action, True) for action in TEMPLATES),
    ("day", "setup", None, "cluster:admin/ilm/get", True),
    ("day", "setup", None, "cluster:admin/ilm/put", True),
    ("day", "setup", None, "cluster:admin/ilm/delete", True),
    ("day", "setup", "p-2024.01.15", "indices:admin/delete", True),  # by ILM, in its name
    ("ilm", "setup", "p-2024.01.15-000001", "indices:admin/create", True),
    ("ilm", "setup", "p-2024.01.15-000001", "indices:admin/aliases", True),
    ("ilm", "setup", "p", "indices:admin/aliases", True),
    ("ilm", "setup", "p", "indices:admin/aliases/get", True),
    ("ilm", "setup", "p", "indices:admin/get", True),
    ("day", "setup", "p-2024.01.15", "indices:data/read/search", False),
    ("day", "setup", "p-2024.01.15", "indices:data/write/bulk", False),
    ("day", "setup", "other-2024.01.15", "indices:admin/delete", False),
    # audit, probe
    ("day", "reader", "p-2024.01.15", "indices:data/read/get", True),
    *(("day", "reader", "p-2024.01.15", action, True) for action in SEARCH),
    ("ilm", "reader", "p-2024.01.15-000001", "indices:data/read/search", True),
    ("day", "reader", "p-2024.01.15", "indices:data/write/bulk", False),
    ("day", "reader", "p-2024.01.15", "indices:admin/delete", False),
    ("day", "reader", "other-2024.01.15", "indices:data/read/search", False),
    ("day", "reader", "p-staging-2024.01.15", "indices:data/read/search", False),
    # setup --kibana: nothing in Elasticsearch itself
    ("day", "dashboards", "p-2024.01.15", "indices:data/read/search", False),
]


@pytest.fixture(scope="module")
def answers() -> list[bool]:
    roles = {
        f"{roll}-{role.name}": role.descriptor
        for roll in ("day", "ilm")
        for role in elasticsearch_roles(load_settings(overrides={"index": {"prefix": "p", "roll": roll}}))
    }
    questions = [[f"{roll}-p-{role}", index, action] for roll, role, index, action, _ in TABLE]
    answer = subprocess.run(
        [
            *(sys.executable, "-m", "tests.security.role_checker"),
            str(java_library()),
            ":".join(map(str, x_pack_core().classpath)),
        ],
        input=json.dumps({"roles": roles, "questions": questions}),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    result: list[bool] = json.loads(answer.stdout)
    return result


@pytest.mark.parametrize("row", range(len(TABLE)), ids=lambda row: "-".join(map(str, TABLE[row])))
def test_role_allows(answers: list[bool], row: int) -> None:
    assert answers[row] is TABLE[row][-1]


def test_without_ilm_setup_needs_no_index() -> None:
    setup = elasticsearch_roles(load_settings(), with_ilm=False)[1].descriptor
    assert setup == {"cluster": ["manage_index_templates"], "indices": []}
