"""Numbers from curves: ours, the report's, their distance, and how sure a difference is. No text."""
