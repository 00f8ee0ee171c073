"""A run folder becomes one self-contained HTML page; nothing here imports torch."""
