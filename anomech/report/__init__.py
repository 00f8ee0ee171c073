"""Folders become self-contained pages: `run` of an audit, `board` of a bench; no torch."""
