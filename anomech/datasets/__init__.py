"""One file per data set that a suite can name."""
