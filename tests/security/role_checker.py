"""Ask Elasticsearch's own code what a role allows: run as a process of its own.

    python -m tests.security.role_checker JVM CLASSPATH < {"roles": {...}, "questions": [...]}

x-pack-core has the role parser and the definitions of the privileges; the module that enforces them is not
published. A question is [role, index or null for the cluster, action]; the answer to each is true or false.
"""

import fnmatch
import json
import sys
from typing import Any

import jpype

AUTHZ = "org.elasticsearch.xpack.core.security.authz"


def main() -> None:
    asked = json.load(sys.stdin)
    jpype.startJVM(jvmpath=sys.argv[1], classpath=sys.argv[2].split(":"), convertStrings=True)
    log = jpype.JClass("org.elasticsearch.common.logging.LogConfigurator")
    log.configureWithoutConfig(jpype.JClass("org.elasticsearch.common.settings.Settings").EMPTY)
    log.configureESLogging()
    roles = {name: parse(name, descriptor) for name, descriptor in asked["roles"].items()}
    answers = [allows(roles[role], index, action) for role, index, action in asked["questions"]]
    print(json.dumps(answers))  # noqa: T201 - the answer to the parent


def parse(name: str, descriptor: dict[str, Any]) -> Any:
    """Do what PUT _security/role/<name> does."""
    body = jpype.JClass("org.elasticsearch.common.bytes.BytesArray")(json.dumps(descriptor))
    json_type = jpype.JClass("org.elasticsearch.xcontent.XContentType").JSON
    return jpype.JClass(f"{AUTHZ}.RoleDescriptor").parserBuilder().build().parse(name, body, json_type)


def allows(role: Any, index: str | None, action: str) -> bool:
    if index is None:
        builder = jpype.JClass(f"{AUTHZ}.permission.ClusterPermission").builder()
        for name in role.getClusterPrivileges():
            privilege = jpype.JClass(f"{AUTHZ}.privilege.ClusterPrivilegeResolver").resolve(name)
            builder = privilege.buildPermission(builder)
        return bool(builder.build().check(action, None, None))
    privilege = jpype.JClass(f"{AUTHZ}.privilege.IndexPrivilege")
    return any(
        privilege.get(name).predicate().test(action)
        for group in role.getIndicesPrivileges()
        if any(fnmatch.fnmatchcase(index, pattern) for pattern in group.getIndices())
        for name in group.getPrivileges()
    )


if __name__ == "__main__":
    main()
