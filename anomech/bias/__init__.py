"""Bias and shortcuts: whether a model does otherwise by groups of people or backgrounds."""
