"""The page of a screened training set."""
