"""The command line."""

STOPPED = "Stopped; nothing is lost, the same command goes on from here."
"""What Ctrl-C is answered with."""
