"""`python -m pipeline` is `logpipe`."""

from pipeline.cli import main

main()
