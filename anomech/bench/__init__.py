"""Training, model zoo, metrics and the demo: the only place that may see the truth."""
