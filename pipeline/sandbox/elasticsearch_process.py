"""Be the Elasticsearch server: started as a process of its own, because a JVM cannot leave a process again.

    python -m pipeline.sandbox.elasticsearch_process LAUNCH_FILE

LAUNCH_FILE is JSON: `library` (libjvm), `options` (of the JVM), `home`, and `settings` (of the node).
The process does what Elasticsearch's own start-up does, less the parts that are not published: its launcher,
and the security policies that go with it.
"""

import json
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import jpype

__all__ = ["main"]

_STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}


def main(launch_file: Path) -> None:
    """Run the node until this process is asked to stop; exit with 1 and a stack trace if it fails."""
    launch = json.loads(launch_file.read_text("utf-8"))
    # Blocked before there are other threads, so that every one of the JVM's inherits it, and only the sigwait
    # below receives them.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    jpype.startJVM(*launch["options"], jvmpath=launch["library"], convertStrings=False)
    try:
        node = _start_node(Path(launch["home"]), launch["settings"])
    except jpype.JException as error:
        sys.stderr.write(f"{error.stacktrace()}\n{error}\n")
        _leave(1)
    except Exception:  # noqa: BLE001 - unhandled, it would wait for the JVM's threads for ever
        traceback.print_exc()
        _leave(1)
    signal.sigwait(_STOP_SIGNALS)
    node.close()
    _leave(0)


def _start_node(home: Path, values: dict[str, str]) -> Any:
    settings_class = jpype.JClass("org.elasticsearch.common.settings.Settings")
    builder = settings_class.builder()
    for name, value in values.items():
        builder.put(jpype.JString(name), jpype.JString(value))
    settings = builder.build()

    log_configurator = jpype.JClass("org.elasticsearch.common.logging.LogConfigurator")
    log_configurator.configureWithoutConfig(settings)
    log_configurator.configureESLogging()

    java_map = jpype.JClass("java.util.Map")
    preparer = jpype.JClass("org.elasticsearch.node.InternalSettingsPreparer")
    environment = preparer.prepareEnvironment(
        settings,
        java_map.of(),
        jpype.JClass("java.nio.file.Path").of(str(home / "config")),
        jpype.JProxy("java.util.function.Supplier", dict={"get": lambda: values["node.name"]}),
    )
    loader = jpype.JClass("org.elasticsearch.plugins.PluginsLoader")
    plugins = loader.createPluginsLoader(
        loader.loadModulesBundles(environment.modulesDir()),
        loader.loadPluginsBundles(environment.pluginsDir()),
        java_map.of(),
    )
    node = jpype.JClass("org.elasticsearch.node.Node")(environment, plugins)
    node.start()
    return node


def _leave(status: int) -> None:
    """End the process through the JVM: that is when it writes an AOT cache, if it was told to."""
    sys.stderr.flush()
    jpype.JClass("java.lang.System").exit(status)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
