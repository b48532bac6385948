"""Which runs a subject of the Natural Object Dataset has, and which image each of their betas belongs to."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ....schemas.errors import BadInputError, NotFoundError
from ..csv_tables import read_table
from ..interface import subject_number

_COLUMN = {"imagenet": "stim_file", "coco": "condition"}
"""Column of events.tsv that holds the path of an image under stimuli/; n/a for fixation."""
_EXCLUDED = {("sub-01", "imagenet05")}
"""Sessions that do not belong to the data set's design: three runs of a further session."""
_EVENTS = re.compile(r"sub-\d+_ses-(?P<session>\w+)_task-(?P<task>\w+)_run-(?P<run>\d+)_events\.tsv")


@dataclass(frozen=True, order=True)
class NodRun:
    """One run of an experiment: what was shown, and the betas of it."""

    session: str
    number: int
    task: str
    events: Path
    betas: Path
    """(trials, grayordinates); the trials are in the order of `labels`, not of `events`."""
    labels: Path
    """Names of the images, a line each."""

    def images(self) -> list[str]:
        """The image of each row of the betas, as its path under stimuli/.

        Images are joined by base name: label files hold bare names, but in one run names with their folder.

        Raises:
            BadInputError: a file is malformed, or names an image that the other does not.
        """
        path_of: dict[str, str] = {}
        for path in events_images(self.events, self.task):
            if path_of.setdefault(PurePosixPath(path).name, path) != path:
                raise BadInputError(f"{self.events}: two images are named {PurePosixPath(path).name}; get it again.")
        try:
            lines = self.labels.read_text(encoding="utf-8").split()
        except UnicodeDecodeError:
            raise BadInputError(f"{self.labels}: not a text file of image names; get it again.") from None
        names = [PurePosixPath(line).name for line in lines]
        if unknown := [name for name in names if name not in path_of]:
            raise BadInputError(
                f"{self.labels}: {len(unknown)} of its {len(names)} images, {unknown[0]} first, are not in "
                f"{self.events.name}; get both from the same version of the data set."
            )
        if len(set(names)) < len(names) or len(names) < len(path_of):
            raise BadInputError(
                f"{self.labels}: {len(names)} names of {len(set(names))} images, and {self.events.name} shows "
                f"{len(path_of)}; get both from the same version of the data set."
            )
        return [path_of[name] for name in names]


def subject_name(subject: str) -> str:
    """sub-01 of 1, 01 or sub-01.

    Raises:
        NotFoundError: the data set has no such subject.
    """
    return f"sub-{subject_number(subject, 'sub-', range(1, 31), 'NOD'):02d}"


def results_folder(root: Path, subject: str) -> Path:
    """Folder of a subject's results in fs_LR space."""
    return root / "derivatives" / "ciftify" / subject / "results"


def runs(root: Path, subject: str, tasks: tuple[str, ...], skip_sessions: tuple[str, ...] = ()) -> list[NodRun]:
    """The runs that a subject did, by their events files, in the order of sessions and runs.

    Run numbers are zero-padded in the raw data's names and are not in ciftify's.

    Args:
        root: folder of the data set.
        subject: sub-01 …
        tasks: imagenet, coco.
        skip_sessions: sessions to leave out: imagenet02, coco …

    Raises:
        NotFoundError: there is no such run, or no such session to skip.
    """
    every = list(_found(root, subject, tasks))
    sessions = {run.session for run in every}
    skipped = {session.removeprefix("ses-") for session in skip_sessions}
    if unknown := skipped - sessions:
        raise NotFoundError(
            f"--skip-session {min(unknown)}: {subject} has the sessions {', '.join(sorted(sessions)) or 'none'}."
        )
    kept = sorted(run for run in every if run.session not in skipped)
    if not kept:
        raise NotFoundError(
            f"{root / subject}: no events.tsv of {' or '.join(tasks)} is there; pass the folder of ds004496 as --root."
        )
    return kept


def _found(root: Path, subject: str, tasks: tuple[str, ...]) -> Iterator[NodRun]:
    for events in (root / subject).glob("ses-*/func/*_events.tsv"):
        match = _EVENTS.fullmatch(events.name)
        if match is None or match["task"] not in tasks or (subject, match["session"]) in _EXCLUDED:
            continue
        name = f"ses-{match['session']}_task-{match['task']}_run-{int(match['run'])}"
        stem = results_folder(root, subject) / name / name
        yield NodRun(
            session=match["session"],
            number=int(match["run"]),
            task=match["task"],
            events=events,
            betas=stem.with_name(f"{name}_beta.dscalar.nii"),
            labels=stem.with_name(f"{name}_label.txt"),
        )


def events_images(path: Path, task: str) -> list[str]:
    """Image of each trial of an events.tsv, as its path under stimuli/, in the order of the trials; no fixations.

    Raises:
        BadInputError: the file is no table with the task's column.
    """
    column = _COLUMN[task]
    how = {"separator": "\t", "columns": [column], "infer_schema": False, "null_values": "n/a"}
    images = read_table(path, f"events table with the column {column}", "get it again", **how)[column]
    return images.drop_nulls().to_list()
