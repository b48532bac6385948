"""`voxel-atlas`, and `python -m voxel_atlas` where its folder of programs is not on the PATH."""

import gc
import sys

from .api.cli import STOPPED


def main() -> None:
    """Run the command line; see `api.cli.main.main`. Ctrl-C is a sentence also while libraries are imported."""
    try:
        from .api.cli.main import main as run
    except KeyboardInterrupt:
        print(f"\n{STOPPED}", file=sys.stderr)
        sys.exit(130)
    try:
        run()
    finally:
        # As it ends, the interpreter would look through all that was loaded for what can be let go: a sixth of a
        # query's time.
        gc.freeze()


if __name__ == "__main__":
    main()
