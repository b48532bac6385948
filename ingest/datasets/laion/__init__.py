"""LAION-fMRI: 7T responses of five subjects to 25,052 images."""
