"""Atlases in a notebook: answers that show themselves, on a file as over HTTP."""
