"""Checks of a repaired model, one file each, on examples that no repair has seen."""
