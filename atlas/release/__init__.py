"""Releases: a folder with an atlas's tables and maps in files that other programs open, and the way back."""
