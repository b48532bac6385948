"""The doors: GraphQL, HTTP, the explorer page and the command line."""

if __name__ != "voxel_atlas.api":
    raise ImportError(
        "`api` is a part of voxel_atlas: import voxel_atlas.api. Where the command voxel-atlas says this, it was "
        "installed before the parts had one name: install it again."
    )
