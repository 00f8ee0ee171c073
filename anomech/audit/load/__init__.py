"""From the names in a plan to a model, trusted examples and inputs."""
