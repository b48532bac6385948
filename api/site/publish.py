"""`voxel-atlas publish`: the explorer, its answers and the tables as files, whole or not at all."""

import asyncio
import base64
import gzip
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette

from ...atlas.release.export import export
from ...atlas.search.atlas import Atlas
from ...atlas.search.model import Model
from ...ingest.progress import Advance, Progress, Silent
from ...schemas.errors import AtlasError, BadInputError, NotFoundError
from ...schemas.files import replacing
from ..http.assets import WEB
from ..maps.group.group_maps import SHOWS
from ..maps.packed_arrays import pack, unpack
from .bundle import MAIN, classic_bundle

OWN = "folder"
"""A study of one's own; whose its images are is not known here."""
CARDS = 64
"""Voxels of a script."""
METRICS = ("r2", "r2_of_ceiling", "noise_ceiling", "r", "q", "food_t", "food_q")
_TOP = {"image": None, "rois": None, "among": None, "by": "WEIGHTS", "readout": None, "baseline": "VOCABULARY",
        "minZ": None, "maxQ": None, "specific": False, "semantic": True}  # fmt: skip
"""Variables of the list of voxels, as the page asks it at first."""
_SURFACES = 1
"""In 3-D: the inflated one; S1's take 5 MB each."""
_AGAIN_S = 1.0
_PATIENCE_S = 600.0
_TOGETHER = 24
"""Of the commonest labels, those for which all subjects are shown together: such a map holds one of each of them."""
_OF_SHOW = ("unit", "lo", "hi", "logarithmic", "colormap")
_BITS = {"z": 8, "concept_q": 6, "q": 23, "similarities": 8}
"""Of floats' 23 bits after the first, those that are kept, 10 of others. A group's q is exact."""


@dataclass
class _Site:
    """A site that is being written."""

    folder: Path
    client: httpx.AsyncClient
    queries: Mapping[str, str]
    """The page's own, by name."""
    pictures: frozenset[str]
    """Data sets whose images are published."""
    files: dict[str, str] = field(default_factory=dict)
    """Address → the script that has it."""
    looked_for: set[str] = field(default_factory=set)
    """Paths of images, whether they are on this machine or not."""

    async def get(self, path: str, **asked: str) -> bytes:
        """An answer of the server."""
        while True:
            response = await self.client.get(f"/{path}", params=asked)
            if response.status_code == 200:
                return response.content
            error = response.json()["errors"][0]
            # Colours of labels are worked out in a thread of their own; other things that are lacking never come.
            if error["extensions"]["code"] != "BUSY":
                raise NotFoundError(f"{path}: {error['message']}")
            await asyncio.sleep(_AGAIN_S)

    async def ask(self, query: str, **variables: Any) -> Any:
        """The data of a GraphQL query."""
        response = await self.client.post("/graphql", json={"query": self.queries[query], "variables": variables})
        answer = response.json()
        if answer.get("errors"):
            raise BadInputError(answer["errors"][0]["message"])
        return answer["data"]

    def put(self, name: str, content: bytes) -> str:
        """Write a script that holds some bytes; its name."""
        text = base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
        (self.folder / "data" / f"{name}.js").write_text(f'SITE.put("{name}","{text}")', encoding="ascii")
        return name

    async def keep(self, path: str) -> None:
        """Put what an address answers into a script, under the address as the page writes it."""
        name = f"f{len(self.files)}"
        self.files[path] = self.put(name, await self.get(path))


def publish(
    atlas: Atlas,
    app: Starlette,
    out: Path,
    *,
    token: str = "",
    models: Sequence[str] = (),
    concepts: Sequence[str] = (),
    vocabulary: bool = True,
    own_pictures: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write the explorer as static files, for any web space or a folder that is opened from a disk.

    It knows the labels of each model, the nouns of its vocabulary and the page's examples, with the options as they are
    at first. Pictures are those of simulated subjects, whole and uncut. Others have terms; NSD's forbid it.

    Args:
        atlas: the open atlas.
        app: its server, which is asked within this process.
        out: the folder to make.
        token: what the server wants; empty for nothing.
        models: ids; none means each subject's newest finished one.
        concepts: further concepts.
        vocabulary: whether the vocabulary's nouns are among them.
        own_pictures: whether images of folders of one's own are published, too.
        progress: told of models' concepts and voxels.

    Returns:
        The folder.

    Raises:
        BadInputError: the folder is there already, or there is no finished model.
        NotFoundError: no such model, or the page's third-party code is not built.
    """
    if out.exists():
        raise BadInputError(f"{out} is there already; name a folder that is not.")
    finished = [atlas.model(name) for name in atlas.models()["model_id"]]
    newest = {model.subject_id: model for model in reversed(finished) if model.finished}
    chosen = [atlas.model(name) for name in models] or list(newest.values())
    if not chosen:
        raise BadInputError("There is no finished model to publish; `voxel-atlas ingest` makes one.")
    bundle = classic_bundle(WEB)
    with replacing(out) as temporary:
        (temporary / "assets").mkdir(parents=True)
        (temporary / "data").mkdir()
        _write_page(temporary, bundle)
        nouns = {model.model_id: _nouns(atlas, model) if vocabulary else () for model in chosen}
        pictures = frozenset({"simulated", OWN} if own_pictures else {"simulated"})
        answers = _write_answers(app, token, temporary, chosen, concepts, nouns, pictures, progress or Silent())
        # In a thread of its own: a notebook's event loop runs in this one.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, answers).result()
        export(atlas, temporary / "tables", models=[model.model_id for model in chosen], tables_only=True)
    return out


def _write_page(folder: Path, bundle: str) -> None:
    page = (WEB / "index.html").read_text(encoding="utf-8")
    page = re.sub(r'\s*<link rel="modulepreload"[^>]*>', "", page)
    page = page.replace('<a href="graphql">GraphQL</a>', "", 1)  # it leads to a server
    scripts = ("assets/offline.js", "data/index.js", "assets/explorer.js")
    tags = "\n  ".join(f'<script src="{name}" defer></script>' for name in scripts)
    page, n = re.subn(rf'<script type="module" src="assets/{MAIN}"></script>', lambda _: tags, page)
    if n != 1:
        raise NotFoundError(f"{WEB / 'index.html'} does not begin {MAIN} as `publish` expects it.")
    (folder / "index.html").write_text(page, encoding="utf-8")
    (folder / "assets" / "explorer.js").write_text(bundle, encoding="utf-8")
    (folder / "assets" / "offline.js").write_bytes((Path(__file__).parent / "offline.js").read_bytes())
    for name in ("explorer.css", "icon.svg", "theme.js"):
        (folder / "assets" / name).write_bytes((WEB / name).read_bytes())


def questions() -> tuple[dict[str, str], list[str]]:
    """What the page asks in GraphQL, by name, and the concepts that it offers."""
    text = (WEB / "questions.js").read_text(encoding="utf-8")
    queries = {
        name: query for query, name in re.findall(r"^export const \w+ = `(query (\w+)[^`]*)`;$", text, re.MULTILINE)
    }
    (examples,) = re.findall(r"^export const EXAMPLES = (\[.*\]);$", text, re.MULTILINE)
    return queries, json.loads(examples)


def _nouns(atlas: Atlas, model: Model) -> Sequence[str]:
    """The vocabulary of a model's network."""
    return atlas.text_towers.vocabulary(model.backbone).words if model.has_text else ()


async def _write_answers(
    app: Starlette,
    token: str,
    folder: Path,
    models: Sequence[Model],
    concepts: Sequence[str],
    nouns: Mapping[str, Sequence[str]],
    pictures: frozenset[str],
    progress: Progress,
) -> None:
    queries, examples = questions()
    few = [*concepts, *examples]
    asked: dict[str, Any] = {"transport": httpx.ASGITransport(app=app), "base_url": "http://127.0.0.1"}
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(**asked, headers=headers, timeout=_PATIENCE_S) as client,
    ):
        site = _Site(folder, client, queries, pictures)
        told = await site.ask("Models")
        ids = [model.model_id for model in models]
        told["models"] = sorted(
            (model for model in told["models"] if model["modelId"] in ids), key=lambda row: ids.index(row["modelId"])
        )
        of = {}
        for number, model in enumerate(models):
            await _keep_subject(site, model.subject_id)
            of[model.model_id] = await _keep_model(site, model, f"m{number}", [*few, *nouns[model.model_id]], progress)
        common = models[0].labels(first=_TOGETHER).frame["label"].to_list() if models[0].methods() else []
        kept = {"files": site.files, "together": await _keep_groups(site, ids, [*few, *common], progress)}
        index = {"models": ids, "of": of, **kept, "answer": told, "cards": CARDS, "variables": _TOP}
        text = json.dumps(index, separators=(",", ":"), ensure_ascii=False)
        (folder / "data" / "index.js").write_text(f"SITE.start({text})", encoding="utf-8")


async def _keep_subject(site: _Site, subject_id: str) -> None:
    subject = _in_path(subject_id)
    if f"outlines/{subject}.json" in site.files:
        return
    described = json.loads(await site.get(f"outlines/{subject}.json"))
    described["surfaces"] = described["surfaces"][:_SURFACES]
    site.files[f"outlines/{subject}.json"] = site.put(f"f{len(site.files)}", json.dumps(described).encode())
    kinds = [f"meshes/{subject}/{kind}.bin" for kind in described["surfaces"]]
    flat = [f"pixelmaps/{subject}.bin"] if described["flat"] else []
    for path in [*flat, *kinds, f"places/{subject}.bin"]:
        await site.keep(path)


def _in_path(name: str) -> str:
    """A name as the page writes it into an address: JavaScript's encodeURIComponent for each part between slashes."""
    return quote(name, safe="/!*'()~")


async def _keep_model(
    site: _Site, model: Model, prefix: str, words: Sequence[str], progress: Progress
) -> dict[str, object]:
    """What the site knows of a model: names of scripts."""
    name = model.model_id
    labels = model.labels(first=100_000).frame if model.methods() else None
    rows = [] if labels is None else [{"text": t, "nVoxels": n} for t, n in labels.select("label", "n_voxels").rows()]
    known: dict[str, object] = {"labels": rows, "cards": f"{prefix}c"}
    metrics, of_words = dict[str, str](), dict[str, str]()
    for metric in METRICS:
        content = await site.get("values", model=name, metric=metric)
        metrics[metric] = site.put(f"{prefix}{metric}", _short(content))
    for path in ("toplabels", "labelcolours") if rows else ():
        try:
            known[path] = site.put(f"{prefix}{path}", await site.get(path, model=name))
        except AtlasError:  # the images that colours of labels are made from are not here
            continue
    wanted = list(dict.fromkeys(word.strip().lower() for word in [*(row["text"] for row in rows), *words]))
    with progress.stage(f"concepts of {name}", len(wanted)) as advance:
        for number, word in enumerate(wanted if model.has_text else []):
            try:
                of_words[word] = await _keep_concept(site, name, word, f"{prefix}w{number}")
            except AtlasError:  # a label that is no concept, as "t-shirt - shirt"
                continue
            finally:
                advance(1)
    with progress.stage(f"voxels of {name}", model.n_voxels) as advance:
        await _keep_cards(site, model, f"{prefix}c", advance)
    return {**known, "metrics": metrics, "concepts": of_words}


async def _keep_concept(site: _Site, model: str, word: str, name: str) -> str:
    """A map with its evidence and band, and the list of voxels; the name of both scripts but for their last letter."""
    header, arrays = unpack(await site.get("values", model=model, concept=word, evidence="1", band="1"))
    of_z, _ = unpack(await site.get("values", model=model, concept=word, metric="z"))
    top = await site.ask("Top", model=model, concept=word, **_TOP)
    told = {key: value for key, value in of_z.items() if header.get(key) != value}
    content = pack({**header, "of_z": told}, arrays)
    site.put(f"{name}v", _short(content))
    site.put(f"{name}t", json.dumps(top, separators=(",", ":")).encode())
    return name


async def _keep_groups(
    site: _Site, models: Sequence[str], words: Sequence[str], progress: Progress
) -> dict[str, object]:
    """What the site knows of all subjects together: the script of each concept, or a sentence why there is none."""
    scripts, why = dict[str, str](), ""
    wanted = list(dict.fromkeys(word.strip().lower() for word in words))
    with progress.stage("concepts of all subjects", len(wanted)) as advance:
        for number, word in enumerate(wanted):
            try:
                maps = [unpack(await site.get("group", concept=word, show=show)) for show in SHOWS]
            except AtlasError as error:  # no group at all, or a word that is no concept
                why = why or str(error).removeprefix("group: ")
                continue
            finally:
                advance(1)
            header, arrays = maps[0]
            if not {row["model_id"] for row in header["subjects"]} <= set(models):
                return {"concepts": {}, "why": "This copy of the explorer has not all subjects of the group."}
            await _keep_subject(site, header["subject"])
            drop = {"value", "p", "colour"}
            kept = {name: values for name, values in arrays.items() if name not in drop}
            tables = {f"colour_{show}": each["colour"] for show, (_, each) in zip(SHOWS, maps, strict=True)}
            told = {
                show: {name: about[name] for name in _OF_SHOW} for show, (about, _) in zip(SHOWS, maps, strict=True)
            }
            scripts[word] = site.put(f"g{number}", _short(pack({**header, "shows": told}, {**kept, **tables})))
    return {"concepts": scripts, "why": "" if scripts else why}


async def _keep_cards(site: _Site, model: Model, name: str, advance: Advance) -> None:
    pictures = model.dataset in site.pictures
    chunks: dict[int, dict[int, Any]] = {}
    for voxel in model.tables.voxels().voxels.tolist():
        card = await site.ask("Card", index=voxel, model=model.model_id)
        for image in card["voxel"]["topImages"]:
            image["url"] = await _keep_picture(site, image["stimulusId"]) if pictures else "pictures/none"
        chunks.setdefault(voxel // CARDS, {})[voxel] = card
        advance(1)
    for number, cards in chunks.items():
        site.put(f"{name}-{number}", json.dumps(cards, separators=(",", ":")).encode())


async def _keep_picture(site: _Site, stimulus_id: str) -> str:
    """The path of an image of one's own in the site, small; of none where it is not on this machine."""
    path = f"pictures/{hashlib.sha256(stimulus_id.encode()).hexdigest()[:16]}.jpg"
    if path not in site.looked_for:
        site.looked_for.add(path)
        try:
            content = await site.get(f"stimuli/{_in_path(stimulus_id)}")
        except NotFoundError:
            return path
        (site.folder / "pictures").mkdir(exist_ok=True)
        (site.folder / path).write_bytes(content)
    return path


def _short(content: bytes) -> bytes:
    """Packed arrays with fewer digits, which compress."""
    header, arrays = unpack(content)
    return pack(header, {name: _rounded(name, values) for name, values in arrays.items()})


def _rounded(name: str, values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype != np.float32:
        return values
    dropped = 23 - _BITS.get(name, 10)
    if not dropped:
        return values
    bits = values.view(np.uint32) + np.uint32(1 << (dropped - 1))
    return np.where(np.isfinite(values), (bits & np.uint32(2**32 - (1 << dropped))).view(np.float32), values)
