"""The Algonauts Project 2023: NSD's responses on fsaverage, as files that a laptop reads."""
