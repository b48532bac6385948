"""Voxel-wise encoding models: ridge regression, its significance and the noise ceiling."""
