"""Concepts beside each other: which of two voxels prefer, regions in one table, and how alike maps are."""
