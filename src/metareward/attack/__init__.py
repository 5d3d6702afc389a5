"""How far a judge can be led astray: attacks that add no merit, and what they get."""
