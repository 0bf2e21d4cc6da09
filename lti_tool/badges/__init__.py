"""What an earner holds: awarding, Open Badges, signing, sharing."""
