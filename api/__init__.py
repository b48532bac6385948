"""The doors: GraphQL, HTTP, the explorer page and the command line."""

if __name__ != "voxel_atlas.api":
    raise ImportError("`api` is a part of voxel_atlas: import voxel_atlas, or voxel_atlas.api.")
