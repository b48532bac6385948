"""First labels on held-out responses, and how many would hold if the responses said nothing (METHOD §6.5)."""

from pathlib import Path, PurePath

import numpy as np
import polars as pl

from ....atlas.search.atlas import Atlas
from ....atlas.search.model import Model
