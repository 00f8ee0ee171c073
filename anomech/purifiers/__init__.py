"""One file per purifier: takes inputs, returns them without what a trigger would be."""
