"""Benches of scanners: whole networks are judged, clean ones and attacked ones."""
