"""Where independent pieces of work run, with the same numbers: one file per engine."""
