"""What an atlas says of its voxels, as numbers that a report can test: cosines, label statistics, tests, intervals."""
