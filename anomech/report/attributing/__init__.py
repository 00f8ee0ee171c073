"""The page of a backdoor attribution."""
