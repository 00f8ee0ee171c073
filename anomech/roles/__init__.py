"""What a task and each kind of method give and promise: one file a role."""
