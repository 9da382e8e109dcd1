"""Give ILM policies and index settings to Elasticsearch's own parsers: run as a process of its own.

    python -m tests.install.policy_parser JVM CLASSPATH < {"policies": {...}, "settings": {...}}

The answer is JSON as well. A JVM cannot leave a process again, hence the process. x-pack-core has the parsers of
policies and phases, and the definitions of the settings; the module that registers them is not published, so
it is done here.
"""

import json
import sys
from typing import Any

import jpype

ILM = "org.elasticsearch.xpack.core.ilm"
# Action name → class, as the ILM plugin registers them.
ACTIONS = {
    "allocate": "AllocateAction",
    "delete": "DeleteAction",
    "forcemerge": "ForceMergeAction",
    "migrate": "MigrateAction",
    "readonly": "ReadOnlyAction",
    "rollover": "RolloverAction",
    "set_priority": "SetPriorityAction",
    "unfollow": "UnfollowAction",
}
# Where the definitions of index.lifecycle.* are.
LIFECYCLE_SETTINGS = (
    (f"{ILM}.LifecycleSettings", "LIFECYCLE_NAME_SETTING"),
    (f"{ILM}.LifecycleSettings", "LIFECYCLE_INDEXING_COMPLETE_SETTING"),
    (f"{ILM}.RolloverAction", "LIFECYCLE_ROLLOVER_ALIAS_SETTING"),
    ("org.elasticsearch.index.IndexSettings", "LIFECYCLE_PARSE_ORIGINATION_DATE_SETTING"),
)


def main() -> None:
    asked = json.load(sys.stdin)
    jpype.startJVM(jvmpath=sys.argv[1], classpath=sys.argv[2].split(":"), convertStrings=True)
    settings = jpype.JClass("org.elasticsearch.common.settings.Settings").EMPTY
    log = jpype.JClass("org.elasticsearch.common.logging.LogConfigurator")
    log.configureWithoutConfig(settings)
    log.configureESLogging()
    registry = make_registry()
    answer = {
        "policies": {name: parse_policy(registry, body) for name, body in asked["policies"].items()},
        "settings": {name: check_settings(values) for name, values in asked["settings"].items()},
    }
    print(json.dumps(answer))  # noqa: T201 - the answer to the parent


def make_registry() -> Any:
    entry = jpype.JClass("org.elasticsearch.xcontent.NamedXContentRegistry$Entry")
    parse_field = jpype.JClass("org.elasticsearch.xcontent.ParseField")
    function = jpype.JClass("org.elasticsearch.core.CheckedFunction")
    lifecycle_type = jpype.JClass(f"{ILM}.LifecycleType")
    action = jpype.JClass(f"{ILM}.LifecycleAction")
    timeseries = jpype.JClass(f"{ILM}.TimeseriesLifecycleType").INSTANCE

    def register(category: Any, name: str, parse: Any) -> Any:
        return entry(category, parse_field(name), jpype.JProxy(function, dict={"apply": parse}))

    entries = jpype.JClass("java.util.ArrayList")()
    entries.add(register(lifecycle_type, "timeseries", lambda _: timeseries))
    for name, class_name in ACTIONS.items():
        entries.add(register(action, name, jpype.JClass(f"{ILM}.{class_name}").parse))
    return jpype.JClass("org.elasticsearch.xcontent.NamedXContentRegistry")(entries)


def parse_policy(registry: Any, request: Any) -> Any:
    """Do what PUT _ilm/policy does; return the policy as GET shows it, or why it was refused."""
    config = jpype.JClass("org.elasticsearch.xcontent.XContentParserConfiguration").EMPTY
    json_type = jpype.JClass("org.elasticsearch.xcontent.XContentType").JSON
    text = json.dumps(request["policy"])
    try:
        parser = json_type.xContent().createParser(config.withRegistry(registry), text)
        policy = jpype.JClass(f"{ILM}.LifecyclePolicy").parse(parser, "policy")
        policy.validate()
    except jpype.JException as error:
        return {"refused": innermost(error)}
    return {"policy": json.loads(str(jpype.JClass("org.elasticsearch.common.Strings").toString(policy)))}


def check_settings(values: dict[str, str]) -> str | None:
    """Validate index settings by their definitions; return why they were refused."""
    settings = jpype.JClass("org.elasticsearch.common.settings.Settings")
    builder = settings.builder()
    for name, value in values.items():
        if isinstance(value, list):
            builder.putList(jpype.JString(name), [jpype.JString(item) for item in value])
        else:
            builder.put(jpype.JString(name), jpype.JString(value))
    known = jpype.JClass("java.util.HashSet")(
        jpype.JClass("org.elasticsearch.common.settings.IndexScopedSettings").BUILT_IN_INDEX_SETTINGS
    )
    for class_name, field in LIFECYCLE_SETTINGS:
        known.add(getattr(jpype.JClass(class_name), field))
    try:
        jpype.JClass("org.elasticsearch.common.settings.IndexScopedSettings")(settings.EMPTY, known).validate(
            builder.build(), True
        )
    except jpype.JException as error:
        return innermost(error)
    return None


def innermost(error: Any) -> str:
    while error.getCause() is not None:
        error = error.getCause()
    return str(error.getMessage())


if __name__ == "__main__":
    main()
