"""A fitted profile that judges new inputs."""
