"""`python -m metareward` is `metareward`."""

from metareward.cli import main

main()
