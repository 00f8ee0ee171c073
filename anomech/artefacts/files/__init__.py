"""Every file of a model's folder: what it is, its hash, and what is odd about it. None is run."""
