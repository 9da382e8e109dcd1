"""Grafana: data sources, dashboards, and the code that writes the dashboards."""
