"""The documentation: the pages are beside this file, what writes parts of them is in `source/`."""
