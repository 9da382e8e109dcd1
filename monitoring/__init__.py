"""What watches the pipeline and the product: rules, dashboards, checks."""
