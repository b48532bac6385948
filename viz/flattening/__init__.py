"""Flat maps of subjects that come without."""
