"""The earner's side of badges: what they have agreed to show, to whom, and how they come back to it for good."""
