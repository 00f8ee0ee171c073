"""The leaderboard of scanners: from the files of a bench of whole models to one page."""
