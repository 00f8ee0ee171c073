"""The pages and tables of a bench: made from its cards alone."""
