"""A ridge regression of every voxel, what it answers to beyond contrast and edges, and its learning curve."""
