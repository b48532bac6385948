"""What an atlas's models say against the data that they were fitted to: ground truth, learning curves, controls."""
