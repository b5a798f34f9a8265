"""What has been made, written to docs/results, and README's results from it."""
