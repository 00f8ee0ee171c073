"""The page of a scan: made from the files of its folder alone."""
