"""What is known of a model before any network is loaded."""

import subprocess
import sys

import pytest

from voxel_atlas.schemas.config import IngestConfig

NETWORKS = {"torch", "open_clip", "torchvision", "transformers", "diffusers", "spacy"}


def test_no_network_is_imported_to_know_whether_a_model_is_finished() -> None:
    code = "import sys, voxel_atlas.ingest.identity, voxel_atlas.ingest.datasets; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert NETWORKS.isdisjoint(done.stdout.split())


@pytest.mark.parametrize(
    ("name", "content"), [("split", "split_sha256"), ("probe", "probe_sha256"), ("root", "root"), ("space", "space")]
)
def test_where_a_file_lies_is_no_part_of_what_a_model_is(name: str, content: str) -> None:
    settings = {"dataset": "folder", "subject": "me", content: "0" * 64}
    here, there = (IngestConfig(**{**settings, name: place}) for place in ("/here/it is", "/there/it is"))
    assert here != there
    assert here.sha256 == there.sha256
    if name == "space":
        assert len({IngestConfig(dataset="nsd", subject="1", space=at).sha256 for at in ("func1mm", "fsaverage")}) == 2
    elif name != "root":
        named = (IngestConfig(dataset="folder", subject="me", **{name: value}) for value in ("seen", "shared515"))
        assert len({config.sha256 for config in named}) == 2
