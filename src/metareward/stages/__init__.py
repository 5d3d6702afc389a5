"""Stages and rules: pure ends around a model, and pure functions of records."""
