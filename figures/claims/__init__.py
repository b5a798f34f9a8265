"""How a claim of the report is declared, measured, decided and tabulated. The claims are in the sections' scripts."""
