"""What the pipeline costs, measured: `make bench`, or `python -m benchmarks --help`.

Every figure is CPU time of the process it belongs to, since wall time on a shared machine says little;
whatever is compared with something else is measured in turns with it, and the ratio is taken per round.
"""
