"""This package's version, for setup.py and `--version`; CITATION.cff repeats it."""

VERSION = "1.0.0"
