"""The run folder: whose it is, its rows, findings and pictures."""
