"""Plain-torch network definitions whose parameter names match public checkpoints."""
