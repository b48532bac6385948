"""What happens to a dissection when something is bad: one sentence, nothing lost, and the ledger true."""

import errno
from pathlib import Path

import pytest
from labelled import Begin
from tiny import TinyBackbone, TinyCaptioner, TinyDataset, TinyGenerator, digest, tiny_config, tiny_parts

from voxel_atlas.atlas.store.store import Store
from voxel_atlas.ingest.run import Pipeline
from voxel_atlas.schemas.errors import BadInputError, MissingWeightsError, StoreError


class Notes:
    """Progress that keeps the notes."""

    def __init__(self):
        self.notes = []

    def stage(self, name, total):
        from voxel_atlas.ingest.progress import Silent

        return Silent().stage(name, total)

    def note(self, message):
        self.notes.append(message)


class Images(TinyDataset):
    """The tiny subject, some of whose images cannot be read."""

    bad: frozenset[int] = frozenset()

    def image(self, index):
        if index in self.bad:
            raise OSError("cannot identify image file")
        return super().image(index)


def run(home: Path, *, skip_bad: bool = False, parts: dict[str, object] | None = None, **changes) -> list[str]:
    """Ingest with the tiny parts, or with others; gives the notes."""
    notes, config = Notes(), tiny_config(**changes)
    with Store.open(str(home / "atlas.duckdb")) as store:
        making = Pipeline(store=store, home=home, progress=notes, skip_bad=skip_bad)
        making.ingest(config, tiny_parts(config, home, **(parts or {})))
    return notes.notes


def redissect(home: Path, *, skip_bad: bool, **parts: object) -> list[str]:
    notes = Notes()
    with Store.open(str(home / "atlas.duckdb")) as store:
        source = store.frame('SELECT model_id FROM model ORDER BY config LIKE \'%"dissect":"none"%\' DESC')["model_id"][
            0
        ]
        network = {"backbone_sha256": TinyBackbone.fingerprint, "preprocessing": TinyBackbone.preprocessing}
        config = tiny_config(data_sha256=TinyDataset.fingerprint, **network)
        making = Pipeline(store=store, home=home, progress=notes, skip_bad=skip_bad)
        making.dissect(source, config, tiny_parts(config, home, **parts))
    return notes.notes


def last_run(home: Path) -> tuple[str, str]:
    with Store.open(str(home / "atlas.duckdb")) as store:
        return store.frame("SELECT state, message FROM run ORDER BY recorded_at DESC LIMIT 1").row(0)


def n_labelled(home: Path) -> int:
    with Store.open(str(home / "atlas.duckdb")) as store:
        return store.frame("SELECT count(DISTINCT voxel) AS n FROM label_score")["n"][0]


def without_rates(digests: dict[str, str]) -> dict[str, str]:
    """All but the labels' rates of false discovery: those of labels that were verified first stay, whatever comes."""
    return {table: rows for table, rows in digests.items() if table != "label_evidence"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, fitted: Begin) -> dict[str, str]:
    """What a run in which nothing is bad ends with."""
    home = tmp_path_factory.mktemp("undisturbed")
    fitted(home)
    redissect(home, skip_bad=False)
    return digest(home)


def top_image(home: Path) -> int:
    """An image that some voxels want, and others do not."""
    with Store.open(str(home / "atlas.duckdb")) as store:
        return int(store.frame("SELECT min(stimulus_id) AS id FROM top_image")["id"][0].split("/")[1])


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory, labelled: Begin) -> int:
    """An image that some voxel wants."""
    home = tmp_path_factory.mktemp("wanted")
    labelled(home)
    return top_image(home)


def test_an_unreadable_image_stops_an_ingest_with_its_name(tmp_path):
    dataset = Images()
    dataset.bad = frozenset({7})
    with pytest.raises(
        BadInputError, match=r"image tiny/07 \(tiny/07\) cannot be read: cannot identify .* put the file"
    ):
        run(tmp_path, parts={"dataset": dataset})
    assert last_run(tmp_path)[0] == "failed"
    dataset.bad = frozenset()
    run(tmp_path, parts={"dataset": dataset})
    assert last_run(tmp_path)[0] == "finished"


def test_an_ingest_that_skips_leaves_unreadable_images_out_of_the_data(tmp_path):
    dataset = Images()
    dataset.bad = frozenset({7, 50})
    notes = run(tmp_path, parts={"dataset": dataset}, skip_bad=True)
    assert [note[:20] for note in notes if "Left out" in note] == ["Left out tiny/07: ca", "Left out tiny/50: ca"]
    run(tmp_path, skip_bad=True)
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        models = store.frame("SELECT n_train + n_test AS n FROM model ORDER BY n")["n"].to_list()
    assert models == [178, 180]
    assert n_labelled(tmp_path) >= 6


def test_an_image_that_is_lost_after_the_fit_stops_the_dissection_or_costs_the_voxels_that_want_it(
    tmp_path, undisturbed, wanted, fitted
):
    dataset = Images()
    fitted(tmp_path)
    dataset.bad = frozenset({wanted})
    with pytest.raises(BadInputError, match=f"image tiny/{wanted:02} .* cannot be read"):
        redissect(tmp_path, skip_bad=False, dataset=dataset)
    notes = redissect(tmp_path, skip_bad=True, dataset=dataset)
    assert any(note.startswith("Skipped ") and f"want image {wanted}" in note for note in notes)
    assert last_run(tmp_path)[1].endswith("skipped; the same command tries them again")
    some = n_labelled(tmp_path)
    dataset.bad = frozenset()
    redissect(tmp_path, skip_bad=True, dataset=dataset)
    assert 0 < some < n_labelled(tmp_path)
    assert last_run(tmp_path) == ("finished", "")
    assert without_rates(digest(tmp_path)) == without_rates(undisturbed)


def test_captions_that_cannot_be_made_keep_their_voxels_back_until_they_can(tmp_path, undisturbed, fitted):
    class Failing(TinyCaptioner):
        def caption(self, images, features=None):
            if any(picture.mean() > 107 for picture in images):
                raise BadInputError("no memory for captioning a single item")
            return super().caption(images, features)

    fitted(tmp_path)
    with pytest.raises(BadInputError, match="no memory for captioning"):
        redissect(tmp_path, skip_bad=False, captioner=Failing())
    assert any("captions" in note for note in redissect(tmp_path, skip_bad=True, captioner=Failing()))
    redissect(tmp_path, skip_bad=False)
    assert without_rates(digest(tmp_path)) == without_rates(undisturbed)


def test_a_captioner_that_gives_too_few_captions_is_refused(tmp_path):
    class Short(TinyCaptioner):
        def caption(self, images, features=None):
            return super().caption(images, features)[1:]

    with pytest.raises(BadInputError, match=r"The captioner tiny@1 gave \d+ captions of \d+ images"):
        run(tmp_path, parts={"captioner": Short()})


@pytest.mark.parametrize("caption", ["", "   ", "running quickly", "a photo of a picture"])
def test_captions_without_a_noun_leave_voxels_without_labels_and_say_so(tmp_path, caption):
    class Mute(TinyCaptioner):
        def caption(self, images, features=None):
            return [caption] * len(images)

    notes = run(tmp_path, parts={"captioner": Mute()})
    assert any("voxels have no label: tiny@1 names no thing in their images" in note for note in notes)
    assert last_run(tmp_path) == ("finished", "")
    assert n_labelled(tmp_path) == 0


def test_a_label_that_the_generator_refuses_is_not_scored_and_the_others_are(tmp_path):
    class Refusing(TinyGenerator):
        def draw(self, label, seeds):
            return None if label == "rose" else super().draw(label, seeds)

    notes = run(tmp_path, parts={"generator": Refusing()})
    assert any("1 labels are not scored: tiny@1 has no picture of rose" in note for note in notes)
    assert n_labelled(tmp_path) > 0


def test_a_label_that_cannot_be_drawn_stops_the_run_or_keeps_its_voxels_back(tmp_path, undisturbed, fitted):
    class Failing(TinyGenerator):
        def draw(self, label, seeds):
            if label == "rose":
                raise BadInputError("A label to draw is empty; leave it out of the vocabulary.")
            return super().draw(label, seeds)

    fitted(tmp_path)
    with pytest.raises(BadInputError, match="label to draw is empty"):
        redissect(tmp_path, skip_bad=False, generator=Failing())
    notes = redissect(tmp_path, skip_bad=True, generator=Failing())
    assert any(note.startswith("Skipped the pictures of 'rose': A label to draw is empty") for note in notes)
    some = n_labelled(tmp_path)
    redissect(tmp_path, skip_bad=False)
    assert some < n_labelled(tmp_path)
    assert without_rates(digest(tmp_path)) == without_rates(undisturbed)


def test_a_disk_that_is_full_while_pictures_are_written_stops_the_run_and_loses_nothing(
    tmp_path, undisturbed, monkeypatch, fitted
):
    fitted(tmp_path)
    room = 12  # a picture is flushed, and so is its folder

    def full(handle):
        nonlocal room
        room -= 1
        if room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("voxel_atlas.schemas.files.os.fsync", full)
        with pytest.raises(StoreError, match=r"\.png cannot be written: No space left on device; make room"):
            redissect(tmp_path, skip_bad=True)
    assert last_run(tmp_path)[0] == "failed"
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        uris = store.frame("SELECT uri FROM synthetic_image")["uri"].to_list()
    assert len(uris) == 4  # one label whole, and nothing of the second
    assert all(Path(uri).exists() for uri in uris)
    redissect(tmp_path, skip_bad=False)
    assert digest(tmp_path) == undisturbed


def test_a_damaged_picture_of_a_label_is_named(tmp_path, monkeypatch):
    append, damaged = Store.append, []

    def append_and_damage(store, batch, **named):
        appended = append(store, batch, **named)
        if "synthetic_image" in batch and not damaged:
            damaged.append(next((tmp_path / "synthetic").rglob("*.png")))
            damaged[0].write_bytes(b"not a picture")
        return appended

    monkeypatch.setattr(Store, "append", append_and_damage)
    with pytest.raises(BadInputError, match=r"A picture of '\w+' cannot be read: .*\.png: not a readable"):
        run(tmp_path)
    assert any(note.startswith("Skipped the pictures of") for note in run(tmp_path, skip_bad=True))


def test_missing_weights_are_said_before_any_work(tmp_path):
    for setting in ("captioner", "generator"):
        other = {"generator": str(tmp_path)} if setting == "captioner" else {"captioner": str(tmp_path)}
        with pytest.raises(MissingWeightsError, match=r"--download|folder"):
            run(tmp_path, parts={"captioner": None, "generator": None}, **{setting: "no-such/model", **other})
    with Store.open(str(tmp_path / "atlas.duckdb")) as store:
        assert not store.frame("FROM ledger").height
