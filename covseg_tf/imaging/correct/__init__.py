"""Undoes what viewers, scanners and slides do to a film."""
