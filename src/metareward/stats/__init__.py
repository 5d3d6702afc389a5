"""The statistics of judging, on numpy and scipy alone."""
