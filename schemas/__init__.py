"""What every part of Voxel Atlas agrees on: settings, tables, the public API and errors. Imports nothing of ours."""

if __name__ != "voxel_atlas.schemas":
    raise ImportError(
        "`schemas` is a part of voxel_atlas: import voxel_atlas.schemas. Where the command voxel-atlas says this, it "
        "was installed before the parts had one name: install it again."
    )
