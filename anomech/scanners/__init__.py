"""One file per method that judges a whole model."""
