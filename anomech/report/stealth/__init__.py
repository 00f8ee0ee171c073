"""The page of a bench of stealth."""
