"""Standard spaces that studies come in and are drawn in: meshes of the cortex, and MNI152."""

MESHES = {"fs_LR": 32_492, "fsaverage5": 10_242, "fsaverage6": 40_962, "fsaverage7": 163_842, "fsaverage": 163_842}
"""Space of vertices, and name of its cortex → vertices of a hemisphere. fsaverage7 is another name of fsaverage."""
MNI152 = "MNI152"
"""Space of volumes, and name of their transform to the surface that they are sampled on."""
MNI152_SURFACE = "fsaverage5"
"""That surface; the volumes' mm are taken for its own, as nilearn does."""
