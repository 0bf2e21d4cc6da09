"""What can be earned: micro-credentials in immutable versions, standards, stacks, and where they are placed."""
