"""A night on call, played on real servers: see `test_night.py`."""
