"""Federated learning: clients that train apart, and a server that finds who belongs together."""
