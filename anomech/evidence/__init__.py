"""Evidence for machines: what a run or a scan found, in the forms that other programs read."""
