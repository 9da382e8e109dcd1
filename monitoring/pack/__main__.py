"""Write a pack: `python -m monitoring.pack VALUES OUT`, which `make dashboards VALUES=… OUT=…` calls."""

import argparse
import sys
from pathlib import Path

from monitoring.pack import contents, load_values, write
from pipeline.errors import SettingsError


def main() -> int:
    """Write the files and say how many; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m monitoring.pack", description="Write the pack of a product."
    )
    parser.add_argument("values", type=Path, help="such as monitoring/values.toml")
    parser.add_argument("out", type=Path, help="directory to write to")
    given = parser.parse_args()
    try:
        files = contents(load_values(given.values))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    write(files, given.out)
    sys.stdout.write(f"{len(files)} files in {given.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
