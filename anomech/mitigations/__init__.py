"""One file per repair: takes a task, returns a new task."""
