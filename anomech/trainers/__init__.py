"""Robust training: one file a trainer."""
