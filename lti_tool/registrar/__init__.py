"""The registrar's desk: what was posted to which gradebook, when, and what the platform answered."""
