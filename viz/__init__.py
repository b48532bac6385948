"""From arrays to pictures. Never sees the database."""

if __name__ != "voxel_atlas.viz":
    raise ImportError(
        "`viz` is a part of voxel_atlas: import voxel_atlas.viz. Where the command voxel-atlas says this, it was "
        "installed before the parts had one name: install it again."
    )
