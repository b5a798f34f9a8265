"""Gets the runs of a target trained: in this process, in several, or on a Dask cluster."""
