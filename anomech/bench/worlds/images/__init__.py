"""Image worlds: classifiers with triggers, and images whose truth is known."""
