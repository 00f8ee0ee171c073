"""How examples respond when parameters move: one file per tracer."""
