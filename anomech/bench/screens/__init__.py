"""Screens of training sets where the poison is known."""
