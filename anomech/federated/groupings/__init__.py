"""Who learns together: one file a grouping."""
