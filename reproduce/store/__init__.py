"""The results store: the only code that reads or writes `results/runs`."""
