"""The monitoring pack for another product than the guide's: values in, a tree of files out.

The committed files are written with the guide's values, which monitoring/values.toml holds. `places` says where they
stand; `contents` writes the files with other values in their place.
"""

from monitoring.pack.render import contents, write
from monitoring.pack.values import GUIDE, Values, load_values

__all__ = ["GUIDE", "Values", "contents", "load_values", "write"]
