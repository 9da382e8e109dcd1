"""The command `logpipe`: a file for each command or family of commands; `app.py` joins them."""
