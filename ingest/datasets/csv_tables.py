"""Tables in text files."""

from pathlib import Path
from typing import Any

import polars as pl

from ...schemas.errors import BadInputError


def read_table(path: Path, what: str, advice: str, **options: Any) -> pl.DataFrame:
    """A CSV file, or one of another separator.

    Args:
        path: the file.
        what: what it should be, for the message.
        advice: what to do where it is none.
        options: of `polars.read_csv`.

    Raises:
        BadInputError: it cannot be read, or lacks columns that are asked for.
    """
    try:
        return pl.read_csv(path, **options)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BadInputError(f"{path}: not a readable {what} ({str(error).splitlines()[0]}); {advice}.") from None
