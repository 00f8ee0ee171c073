"""Training and climbing: what attacks, scanners, mitigations and trainers share."""
