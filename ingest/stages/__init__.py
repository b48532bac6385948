"""The stages of an ingest, in the order of their use: encode, fit, describe, generate, score."""
