"""Captioned scenes: cut-outs pasted on photographs, whose lists say what is in them.

Cut-outs are split into two halves by a hash of their names: half A aligns the `lite` backbone and draws collages of
labels, half B makes the pictures that the simulated subject sees. Nothing that was seen while aligning is in the atlas.
"""
