"""What the report does not state: the candidates, and which of them lies nearest to its curves."""
