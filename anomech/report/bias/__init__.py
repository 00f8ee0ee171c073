"""The page of a look at bias."""
