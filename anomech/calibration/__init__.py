"""From rankings to p-values, decisions and findings."""
