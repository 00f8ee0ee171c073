"""The scan of a whole model, before anything is asked of it: files, weights, triggers."""
