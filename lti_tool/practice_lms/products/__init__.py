"""What the products differ in: one module for the launches of each, one for its grade services."""
