"""What runs the pipeline: manifests, chart, systemd unit."""
