"""Describe-and-Dissect: from a voxel's weights to words that describe what it answers to."""
