"""Maps of several subjects, where their cortices meet: fsaverage or fs_LR."""
