"""Preference training: settings, a job as values, a child process that carries it out."""
