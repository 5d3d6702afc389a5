"""A small world whose truth is known, to try whole loops in: docs/lab.md."""
