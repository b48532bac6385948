"""A bucket of an object store on this machine, and ingests into it that are killed.

The server is moto's, which speaks the protocol and keeps all in memory; no other is tested. It has an environment of
its own: `python -m venv moto && moto/bin/pip install moto[server]`, and moto/bin on the PATH.
"""

import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from voxel_atlas.atlas.store.store import Store

BUCKET = "lake"
PROGRAM = "moto_server"
_SETUP = """
import json, sys, boto3
options = dict(endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="a")
boto3.client("s3", **options).create_bucket(Bucket=sys.argv[2])
iam = boto3.client("iam", **options)
iam.create_user(UserName="ingest")
rights = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
iam.put_user_policy(UserName="ingest", PolicyName="all", PolicyDocument=json.dumps(rights))
made = iam.create_access_key(UserName="ingest")["AccessKey"]
print(made["AccessKeyId"], made["SecretAccessKey"])
"""
_N_REQUESTS = 4
"""Of the script above; from then on, keys are looked at."""

_INGEST = """
import sys
import pyarrow as pa
from voxel_atlas.atlas.store.store import Store
with Store.open(sys.argv[1]) as store:
    for n in range(int(sys.argv[2])):
        rows = pa.table({"label_id": range(100 * n, 100 * n + 100), "lemma": [f"{n}/{i}" for i in range(100)]})
        store.append({"label": rows}, run_id="kills", stage="s", key=str(n))
        print(n, flush=True)
"""


@dataclass(frozen=True)
class Bucket:
    """A running object store with an empty bucket."""

    process: "subprocess.Popen[bytes]"
    keys: Mapping[str, str]
    """The environment with which it is reached."""

    def address(self, folder: Path) -> str:
        """A lake in it, whose catalog is in a folder."""
        return f"ducklake:sqlite:{folder}/catalog.sqlite data=s3://{BUCKET}/atlas/"


@contextmanager
def bucket() -> Iterator[Bucket]:
    """An object store until the block ends."""
    program = Path(str(shutil.which(PROGRAM)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(_N_REQUESTS)}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)], env=environment, stdout=quiet, stderr=quiet
    )
    try:
        while not _listens(port):
            assert process.poll() is None
            time.sleep(0.1)
        setup = [str(program.with_name("python")), "-c", _SETUP, url, BUCKET]
        key, secret = subprocess.run(setup, check=True, capture_output=True, text=True).stdout.split()
        yield Bucket(process, {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_ENDPOINT_URL": url})
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True)
class Kills:
    """What became of an ingest that was killed again and again."""

    kills: int
    lost: int
    """Batches that were told to be committed and are not there."""
    doubled: int
    """Rows that are there more than once."""


def killed_ingests(
    address: str,
    kills: int,
    environment: Mapping[str, str],
    kill: Callable[["subprocess.Popen[str]"], object] = Popen.kill,
) -> Kills:
    """Ingest into a lake, kill the ingester or what it needs at random moments, start it again, and at last let it end.

    Args:
        address: an empty lake.
        kills: how often.
        environment: of the ingester.
        kill: what is done to it.
    """
    moments, told, done = random.Random(0), set[int](), 0
    command = [sys.executable, "-c", _INGEST, address, str(4 * kills)]
    status = 1
    while status:
        with Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            new = 0
            for line in process.stdout:
                new += int(line) not in told
                told.add(int(line))
                if done < kills and new == 2:
                    time.sleep(moments.uniform(0, 0.5))
                    kill(process)
                    done, new = done + 1, 0
        status = process.returncode
    with Store.open(address, read_only=True) as store:
        rows = store.frame("SELECT lemma, count(*) AS n FROM label GROUP BY lemma")
        present = {int(lemma.split("/")[0]) for lemma in rows["lemma"]}
        whole = store.frame("SELECT count(*) AS n FROM label")["n"][0] == 100 * len(present)
    return Kills(done, len(told - present) + (not whole), int((rows["n"] > 1).sum()))
