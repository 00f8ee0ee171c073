"""The page of a review: made from the record of its folder alone."""
