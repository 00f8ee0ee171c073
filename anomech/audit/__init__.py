"""The pipeline: load, score, calibrate, judge, write a run folder."""
