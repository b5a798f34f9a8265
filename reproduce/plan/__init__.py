"""Predicts what training costs, and times training steps; trains no run."""
