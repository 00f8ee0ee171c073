"""The page of a bench of flipped scores."""
