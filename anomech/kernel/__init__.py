"""Protocols by role, options, plug-ins, errors and randomness: small, and no method in it."""
