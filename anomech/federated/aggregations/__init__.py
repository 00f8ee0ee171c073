"""How several clients' weights become one model: one file an aggregation."""
