"""Behaviors that are planted in language models: one file a behavior."""
