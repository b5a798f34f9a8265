import reproduce  # noqa: F401 -- before any module here imports Matplotlib
