"""Repairs of a model, and their proof: tried, chosen by what a user has, verified, written."""
