"""Is this badge genuine? Open Badges of any issuer, checked by people who know only the file."""
