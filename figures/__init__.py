import reproduce.compat  # noqa: F401 - before any module here imports Matplotlib: see reproduce/__init__.py
