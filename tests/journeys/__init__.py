"""Whole ways through Tessera in a real browser, against the practice LMS on another site."""
