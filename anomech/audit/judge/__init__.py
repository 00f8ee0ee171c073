"""Calibrated detectors, and what they say of inputs, chunk by chunk."""
