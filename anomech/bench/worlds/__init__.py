"""Worlds: models with something planted in them, and inputs whose truth is known."""
