"""Find the outputs of a model that come from a mechanism trusted data cannot explain."""
