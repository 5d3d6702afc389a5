"""The methods, each one function that reads like its paper."""
