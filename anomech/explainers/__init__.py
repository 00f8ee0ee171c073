"""Where a mechanism sits: one file an explainer."""
