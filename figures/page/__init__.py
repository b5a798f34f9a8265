"""The report page: all figures, tables and claims in one HTML file."""
