"""From images and responses to rows of the atlas."""

if __name__ != "voxel_atlas.ingest":
    raise ImportError(
        "`ingest` is a part of voxel_atlas: import voxel_atlas.ingest. Where the command voxel-atlas says this, it was "
        "installed before the parts had one name: install it again."
    )
