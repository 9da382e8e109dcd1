"""What the pipeline says of itself: its own metrics, its health, and the HTTP server that shows both."""
