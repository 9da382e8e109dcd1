"""Those who read the same topic: each module has a `run(task)`, which a child process calls and measures."""
