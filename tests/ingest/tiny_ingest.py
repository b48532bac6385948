"""A program for test_pipeline: ingests the tiny subject, and kills itself right after its n-th committed batch."""

import os
import signal
import sys
from pathlib import Path

from tiny import TinyBackbone, TinyCaptioner, TinyDataset, TinyGenerator, tiny_config

from atlas.store import Store
from ingest import pipeline

home = Path(sys.argv[1])
home.mkdir(parents=True, exist_ok=True)
last = int(sys.argv[2]) if len(sys.argv) > 2 else None
append, n_appended = Store.append, 0


def append_and_die(self: Store, *arguments: object, **named: object) -> bool:
    global n_appended
    appended = append(self, *arguments, **named)
    n_appended += 1
    if n_appended == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return appended


Store.append = append_and_die
pipeline.load_captioner = lambda *_: TinyCaptioner()
pipeline.load_generator = lambda *_: TinyGenerator()
backbone = TinyBackbone()
with Store.open(str(home / "atlas.duckdb")) as store:
    pipeline.ingest(store, TinyDataset(), tiny_config(), backbone, backbone, home=home)
