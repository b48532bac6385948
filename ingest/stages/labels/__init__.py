"""From fitted voxels to labels: describe, generate, score, embed, verify."""
