"""One toy method of each kind; see `pyproject.toml` for how they join."""
