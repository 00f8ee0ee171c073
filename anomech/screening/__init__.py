"""Screening a training set: which of its examples are poisoned."""
