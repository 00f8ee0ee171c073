"""Backdoor attribution: which heads of a decoder carry a known trigger."""
