"""Who someone is on which platform, in which course, in which role."""
