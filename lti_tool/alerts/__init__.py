"""Telling those who run a deployment that something needs a person: at the desk, by mail, by webhook."""
