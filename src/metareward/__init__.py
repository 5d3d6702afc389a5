"""Self-improving alignment with a co-evolving judge."""
