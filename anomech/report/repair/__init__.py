"""The page of a repair: made from the files of its folder alone."""
