"""One file per method that scores examples."""
