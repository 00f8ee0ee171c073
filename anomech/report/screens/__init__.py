"""The page of a bench of screens."""
