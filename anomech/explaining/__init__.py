"""Explaining flags of a run: where their mechanism sits, and what it looks at."""
