"""Sentence worlds: classifiers of sentences with a trigger that leads to one label."""
