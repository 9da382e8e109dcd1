"""Kibana: data view and dashboards, and the code that writes them."""
