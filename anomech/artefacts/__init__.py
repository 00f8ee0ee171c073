"""Who opens strangers' files: weights, pickles, and the formats of other projects."""
