"""Ridge regression of many voxels beside other programs', beside a loop over voxels, and beside one matrix product.

    python benchmarks/ridge.py --json FILE
    python benchmarks/ridge.py --parts loop peers         # neither memory nor 300,000 voxels

8,500 images, 100 penalties, one 15 % hold-out that chooses each voxel's penalty, then a refit, in float64. The same job
is done by himalaya in float64 and in float32; scikit-learn's RidgeCV chooses each voxel's penalty by leaving out one
image at a time, as it has no other way, and fracridge among 20 fractions of the weights' length. They are timed at two
sizes each and scaled along the line through these (a constant for the features plus an amount a voxel), the loop in
proportion. `score_gap_…` is by how much the mean R² on 1,500 fresh images differs between a peer and us, on the voxels
that the peer fitted. The floor is what BLAS needs for features' transpose times responses in float64, all voxels once,
which no exact solution can do without; `products_fraction` counts all products of this one at the same rate. Processes
of their own stream 300,000 voxels through fit, prediction and both tests, to see what memory and time a voxel it takes,
and how near the floor it is once preparing the features is shared by that many.
"""

import argparse
import subprocess
import sys
import time

import numpy as np
import ridge_peers
import torch
from ridge_peers import ALPHAS

import figures
from voxel_atlas.ingest.encoding.metrics import pearson, r2
from voxel_atlas.ingest.encoding.ridge import Ridge
from voxel_atlas.ingest.encoding.significance import bootstrap_p

N_TRAIN, N_TEST, BATCH = 8_500, 1_500, 2_000
PARTS = ("loop", "peers", "streamed", "exactness")
PEERS: dict[str, tuple[ridge_peers.Peer, type[np.floating], str]] = {
    "himalaya": (ridge_peers.himalaya, np.float64, "peer_voxels"),
    "himalaya_f32": (ridge_peers.himalaya, np.float32, "peer_voxels"),
    "sklearn": (ridge_peers.sklearn, np.float64, "sklearn_voxels"),
    "fracridge": (ridge_peers.fracridge, np.float64, "peer_voxels"),
}
"""How each peer is called: its function, the features' precision, and the option that says how many voxels."""


def main() -> None:
    arguments = figures.arguments(__doc__, _extend)
    if arguments.stream:
        _stream(arguments.stream_features, arguments.voxels, arguments.stream)
        return
    found, rows = _speed(arguments)
    if "streamed" in arguments.parts:
        shared, _, _, more = _streamed(arguments, arguments.features)
        streamed, linearity, peak, most = _streamed(arguments, arguments.stream_features)
        found |= {"floor_fraction_shared": shared, "floor_fraction_streamed": streamed}
        found |= {"linearity": linearity, "peak_gib": peak}
        rows += [*more, *most]
    if "exactness" in arguments.parts:
        found |= _exactness()
    title = f"{N_TRAIN} images, {len(ALPHAS)} penalties, {arguments.voxels} voxels"
    figures.emit(title, found, rows, arguments.json)


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure beside our own time")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--voxels", type=int, default=20_000)
    parser.add_argument("--peer-voxels", type=int, nargs=2, default=(20, 2_000), help="two sizes that peers run at")
    parser.add_argument("--sklearn-voxels", type=int, nargs=2, default=(20, 200), help="the same of scikit-learn")
    parser.add_argument("--loop-voxels", type=int, default=10, help="voxels that the loop runs at")
    parser.add_argument("--repeats", type=int, default=15, help="runs of Ridge, of which the shortest counts")
    parser.add_argument("--stream-voxels", type=int, default=300_000)
    parser.add_argument("--stream-features", type=int, default=1_024)
    parser.add_argument("--stream", type=int, default=0, help=argparse.SUPPRESS)


def _speed(arguments: argparse.Namespace) -> tuple[dict[str, float], list[figures.Row]]:
    features, responses = _problem(arguments.features, arguments.voxels, N_TRAIN + N_TEST)
    fresh, features = features[N_TRAIN:], features[:N_TRAIN]
    measured, responses = responses[N_TRAIN:], responses[:N_TRAIN]
    wide = features.astype(np.float64)
    holdout = np.sort(np.random.default_rng(1).permutation(N_TRAIN)[: N_TRAIN * 15 // 100])

    seconds = floor = float("inf")
    for _ in range(arguments.repeats):  # in turns, so that a busy moment of the machine meets both
        again, fit = figures.timed(lambda: Ridge(features, ALPHAS, [holdout]).fit(responses))
        seconds, floor = min(seconds, again), min(floor, _floor_seconds(wide, responses))
    took = {"one product (floor)": floor, "Ridge": seconds}
    found = {"ridge_s": seconds, "ridge_floor_s": floor, "floor_fraction": floor / seconds}
    found["products_fraction"] = floor * _more_products(arguments.features) / seconds
    for name in arguments.peers if "peers" in arguments.parts else ():
        few, many = sizes = getattr(arguments, PEERS[name][2])
        peer_s, theirs = _peer(name, wide, responses, holdout, sizes)
        took[f"{name} ({few} and {many} voxels, scaled)"] = found[f"{name}_s"] = peer_s
        found[f"ratio_{name}"] = peer_s / seconds
        guesses = fresh @ theirs.weights.astype(np.float64) + theirs.constant, fit.predict(fresh)[:, :many]
        own, other = (float(r2(measured[:, :many], guess).mean()) for guess in guesses)
        found[f"score_gap_{name}"] = abs(own - other)
        if name == "himalaya":
            found["alpha_agreement"] = float(np.mean(np.isclose(fit.alpha[:many], theirs.alpha, rtol=1e-9)))
    if "loop" in arguments.parts:
        loop_s = _loop_seconds(features, responses[:, : arguments.loop_voxels], holdout)
        took["loop (scaled)"] = found["ridge_loop_s"] = loop_s * arguments.voxels / arguments.loop_voxels
        found["ridge_ratio_naive"] = found["ridge_loop_s"] / seconds
    rows = [{"what": what, "features": arguments.features, "seconds": each} for what, each in took.items()]
    return found, list(rows)


def _peer(
    name: str, features: np.ndarray, responses: np.ndarray, holdout: np.ndarray, sizes: tuple[int, int]
) -> tuple[float, ridge_peers.Fitted]:
    """Seconds of a peer, scaled to all voxels along the line through two sizes, and what it found at the larger one."""
    (fit, precision, _), (few, many) = PEERS[name], sizes
    own = features.astype(precision)
    few_s, _ = figures.timed(lambda: fit(own, responses[:, :few], holdout), repeats=2)
    many_s, fitted = figures.timed(lambda: fit(own, responses[:, :many], holdout))
    return few_s + max(0.0, many_s - few_s) / (many - few) * (responses.shape[1] - few), fitted


def _problem(n_features: int, n_voxels: int, n_images: int = N_TRAIN) -> tuple[np.ndarray, np.ndarray]:
    """Features and responses in float32, as networks and betas come; a tenth of the variance is signal."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((n_images, n_features), dtype=np.float32)
    weights = rng.standard_normal((n_features, n_voxels), dtype=np.float32) / np.float32(np.sqrt(9 * n_features))
    responses = rng.standard_normal((n_images, n_voxels), dtype=np.float32)
    responses += features @ weights
    return features, responses


def _floor_seconds(features: np.ndarray, responses: np.ndarray) -> float:
    """One product of float64 features with every batch of the responses; widening them is not in it."""
    x, product, seconds = torch.from_numpy(features), torch.empty(features.shape[1], BATCH).double(), 0.0
    for start in range(0, responses.shape[1], BATCH):
        y = torch.from_numpy(responses[:, start : start + BATCH].astype(np.float64))
        begun = figures.clock()
        torch.mm(x.T, y, out=product[:, : y.shape[1]])
        seconds += figures.clock() - begun
    return seconds


def _more_products(n_features: int) -> float:
    """All products that the exact solution takes, in products of the floor's size.

    A voxel's share is 2·n·d for the floor, 2·d² for the partial fractions, 4·d·penalties for their sums, and 2·d² for
    the weights of a common penalty (those of a rare one take 4·d², as they go by the final fit's axes).
    """
    return 1 + (4 * n_features + 4 * len(ALPHAS)) / (2 * N_TRAIN)


def _loop_seconds(features: np.ndarray, responses: np.ndarray, holdout: np.ndarray) -> float:
    """One voxel after the other: the solution of every penalty (they are ready), its error, the best one's refit."""
    train = np.setdiff1d(np.arange(N_TRAIN), holdout)
    x, val = features[train] - features[train].mean(axis=0), features[holdout] - features[train].mean(axis=0)
    values, axes = np.linalg.eigh((x.T @ x).astype(np.float64))
    projected = (axes.T @ x.T).astype(np.float32)
    solutions = np.concatenate(
        [(axes / (values + alpha)).astype(np.float32) @ projected for alpha in ALPHAS]
    )  # (penalties × features, images)
    scatter = (features - features.mean(axis=0)).T @ (features - features.mean(axis=0))

    def voxel(y: np.ndarray) -> np.ndarray:
        weights = (solutions @ (y[train] - y[train].mean())).reshape(len(ALPHAS), -1)
        error = np.square(y[holdout] - y[train].mean() - weights @ val.T).mean(axis=1)
        penalty = ALPHAS[error.argmin()] * np.eye(len(scatter), dtype=np.float32)
        return np.linalg.solve(scatter + penalty, features.T @ (y - y.mean()))

    seconds, _ = figures.timed(lambda: [voxel(y) for y in responses.T])
    return seconds


def _exactness() -> dict[str, float]:
    """The largest error of a score over the whole grid, with dead, duplicate and collinear columns, n > p and n < p."""
    rng, worst = np.random.default_rng(2), 0.0
    for n, d in ((600, 80), (120, 200)):
        features = rng.standard_normal((n, d)) * np.exp(rng.standard_normal(d)) + rng.standard_normal(d)
        features[:, 0], features[:, 1], features[:, 2] = 0, features[:, 3], features[:, 4] - 2 * features[:, 5]
        responses = features @ rng.standard_normal((d, 50)) / np.sqrt(d) + 2 * rng.standard_normal((n, 50))
        order = rng.permutation(n)
        for validation in ([order[: n // 6]], np.array_split(order, 5)):
            scores = Ridge(features, ALPHAS, validation).scores(responses)
            expected = np.mean([_svd_scores(features, responses, fold) for fold in validation], axis=0)
            worst = max(worst, float(np.max(np.abs(scores - expected) / np.maximum(1, np.abs(expected)))))
    return {"max_rel_err": worst}


def _svd_scores(features: np.ndarray, responses: np.ndarray, fold: np.ndarray) -> np.ndarray:
    train = np.setdiff1d(np.arange(len(features)), fold)
    x_mean, y_mean = features[train].mean(axis=0), responses[train].mean(axis=0)
    u, s, vt = np.linalg.svd(features[train] - x_mean, full_matrices=False)
    s[s < 1e-13 * s[0]] = 0
    scores = []
    for alpha in ALPHAS:
        weights = vt.T @ ((s / (s**2 + alpha))[:, None] * (u.T @ (responses[train] - y_mean)))
        scores.append(r2(responses[fold], (features[fold] - x_mean) @ weights + y_mean))
    return np.array(scores)


def _streamed(arguments: argparse.Namespace, n_features: int) -> tuple[float, float, float, list[figures.Row]]:
    """Run `_stream` in a process of its own, whose memory holds nothing of the peers'.

    Returns:
        The floor's part of the fit's time, time a voxel at many voxels by that at few, peak GiB, and rows to show.
    """
    sizes = ("--stream", arguments.stream_voxels, "--stream-features", n_features)
    command = [sys.executable, __file__, *map(str, (*sizes, "--voxels", arguments.voxels))]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    small, large, floor, peak = map(float, answer)
    rows: list[figures.Row] = [
        {"what": f"Ridge, {n} voxels", "features": n_features, "seconds": seconds * n}
        for n, seconds in ((arguments.voxels, small), (arguments.stream_voxels, large))
    ]
    return floor / large, large / small, peak, rows


def _stream(n_features: int, n_small: int, n_large: int) -> None:
    """Print seconds a voxel of the fit at two sizes, of the floor, and the peak memory in GiB."""
    features, responses = _problem(n_features, BATCH)
    rng = np.random.default_rng(3)
    test_features = rng.standard_normal((N_TEST, n_features), dtype=np.float32)
    measured = rng.standard_normal((N_TEST, BATCH), dtype=np.float32)
    holdout = np.sort(rng.permutation(N_TRAIN)[: N_TRAIN * 15 // 100])
    wide, seconds, floors = features.astype(np.float64), [], []
    for n_voxels in (n_small, n_large):
        start = time.perf_counter()
        ridge = Ridge(features, ALPHAS, [holdout])
        spent = time.perf_counter() - start
        for first in range(0, n_voxels, BATCH):
            # The same responses serve as every batch: a batch's cost and memory do not depend on their values.
            start = time.perf_counter()
            fit = ridge.fit(responses)
            spent += time.perf_counter() - start
            predicted = fit.predict(test_features)
            r2(measured, predicted), pearson(measured, predicted), bootstrap_p(measured, predicted, 2_000, 0)
            if first % (10 * BATCH) == 0:  # in turns with the fits, and their mean, as it is the fits' sum that counts
                floors.append(_floor_seconds(wide, responses) / BATCH)
        seconds.append(spent / n_voxels)
    print(*seconds, np.mean(floors), figures.peak_gib())


if __name__ == "__main__":
    main()
