"""Comparison: one task, one budget, many seeds, from several initialisations."""
