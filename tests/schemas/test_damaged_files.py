import errno
import fcntl
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from voxel_atlas.schemas.damaged_files import readable
from voxel_atlas.schemas.errors import BadInputError


@pytest.fixture
def betas(tmp_path: Path) -> Path:
    path = tmp_path / "betas.hdf5"
    with h5py.File(path, "w") as file:
        file["betas"] = np.zeros((4, 3))
    return path


def test_a_file_that_another_program_writes_is_not_called_damaged(betas: Path) -> None:
    with betas.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(BadInputError, match=r"betas\.hdf5: another program has it open"), readable(betas):
            h5py.File(betas)
    with readable(betas), h5py.File(betas) as file:
        assert file["betas"].shape == (4, 3)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE, errno.EIO, errno.ESTALE, errno.ENOLCK])
def test_what_lies_outside_a_file_is_no_damage(number: int, betas: Path) -> None:
    with pytest.raises(BadInputError) as raised, readable(betas):
        raise OSError(number, os.strerror(number))
    assert "damaged" not in str(raised.value)
    assert str(raised.value).startswith(f"{betas}: ")


def test_a_cut_file_is_damaged(betas: Path) -> None:
    betas.write_bytes(betas.read_bytes()[:-900])
    with pytest.raises(BadInputError, match="a damaged or cut file"), readable(betas):
        h5py.File(betas)
