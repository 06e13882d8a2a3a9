"""Providers: the doors through which other libraries find generated weights."""
