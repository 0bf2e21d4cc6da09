"""What a stack asks, how far somebody is, and how authors write it. Knows no tables: all of it goes by keys."""
