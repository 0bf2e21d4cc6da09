"""What a micro-credential counts for, by authority. A statement of what the authority says, never a promise."""
