"""Who judges and how: queues, ratings, decisions."""
