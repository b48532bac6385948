"""Subjects' cortical surfaces: meshes, flat maps, spaces, and how they come in."""
