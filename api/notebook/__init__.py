"""Atlases in a notebook: answers that show themselves, on a file as over HTTP."""

import warnings

# Libraries that are imported on the way ask for widgets; their bars are not shown, and ours need none.
warnings.filterwarnings("ignore", message="IProgress not found")
