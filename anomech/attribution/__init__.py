"""Couplings, scores, profiles and mechanisms: pure functions of traces."""
