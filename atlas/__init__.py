"""The database and the search: what is known of every voxel, and how it is found.

>>> from voxel_atlas.atlas.search.atlas import Atlas
>>> with Atlas.open("atlas.duckdb") as opened:
...     opened.model().similar("cake", first=5).frame
"""

if __name__ != "voxel_atlas.atlas":
    raise ImportError(
        "`atlas` is a part of voxel_atlas: import voxel_atlas.atlas. Where the command voxel-atlas says this, it was "
        "installed before the parts had one name: install it again."
    )
