"""Running the model over examples once, for every method."""
