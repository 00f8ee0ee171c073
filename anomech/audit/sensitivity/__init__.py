"""What an audit would have caught, from triggers of its own in twins of the model."""
