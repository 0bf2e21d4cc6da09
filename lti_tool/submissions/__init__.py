"""What an earner does: attempts, responses, evidence, statements, handing in."""
