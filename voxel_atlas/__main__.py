"""`python -m voxel_atlas`: the command line, also where its folder of programs is not on the PATH."""

from .api.cli.main import main

if __name__ == "__main__":
    main()
