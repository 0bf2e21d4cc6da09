"""What the LMS is told: the ledger of score posts and their delivery. Knows gradebook cells and points, not
attempts."""
