"""Who knows what a file is: readers of examples, and seeded splits."""
