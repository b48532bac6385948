"""The explorer as static files, for a paper's supplement."""
