"""Run one contender in this process, by a task in JSON on the command line, and print what it used as JSON.

Ends by itself if the process that started it goes.
"""

import importlib
import json
import logging
import os
import sys
import threading

from benchmarks.contenders.task import Task

__all__: list[str] = []


def _leave_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def _main() -> None:
    # What it says about a group that is a moment old mends itself; what does not is raised.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    # A worker's log costs what it costs, but is nothing to look at here.
    logging.basicConfig(filename=os.devnull)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    task = Task(**json.loads(sys.argv[1]))
    contender = importlib.import_module(f"benchmarks.contenders.{task.contender}")
    print(json.dumps(contender.run(task)._asdict()), flush=True)


_main()
