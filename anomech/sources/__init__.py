"""Where models come from: one file a source, thin, because opening is the business of artefacts."""
