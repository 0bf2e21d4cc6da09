"""Closing a term: what is not decided or not in its gradebook, and what the instructor of record makes of it."""
