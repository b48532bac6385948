"""What is kept in memory of a model: its voxels, labels and vectors as arrays, each as new as the atlas."""
