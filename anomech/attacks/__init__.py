"""One file per way of planting or perturbing."""
