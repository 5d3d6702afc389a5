"""Held-out measures: what the field publishes of an actor or a judge, from answers or from files."""
