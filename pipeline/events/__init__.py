"""What becomes of an event: bytes to an event, an event to a document.

The definition, readable from top to bottom in `document.py`, and a module for each rule that it follows. All of it is
pure: the same record gives the same documents, whenever and wherever; no clock, no I/O, no client of a server.
"""
