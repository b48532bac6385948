"""`voxel-atlas report` and `compare`: the paper's evaluation on what is in the atlas, a page with its tables."""
