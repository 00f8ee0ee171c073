"""Which examples of a training set are poisoned: one file a screen."""
