"""The bench of repairs: what each method leaves of attacks whose truth is known."""
