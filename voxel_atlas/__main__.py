"""`voxel-atlas`, and `python -m voxel_atlas` where its folder of programs is not on the PATH."""

import sys

from .api.cli import STOPPED


def main() -> None:
    """Run the command line; see `api.cli.main.main`. Ctrl-C is a sentence also while libraries are imported."""
    try:
        from .api.cli.main import main as run
    except KeyboardInterrupt:
        print(f"\n{STOPPED}", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
