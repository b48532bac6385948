"""Bootstrap significance beside a loop over voxels and resamples, and how it errs where there is nothing to find.

    python benchmarks/bootstrap.py --json FILE

The loop is timed on some voxels and scaled to all: every voxel costs it the same. The error rates come from responses
whose images were shuffled, so that no prediction can be better than chance, over several seeds.
"""

import argparse

import numpy as np
import torch

import figures
from voxel_atlas.ingest.encoding.ridge import Ridge
from voxel_atlas.ingest.encoding.significance import benjamini_hochberg, bootstrap_p, correlation_p

N_TRAIN, N_TEST, N_FEATURES, N_RESAMPLES = 8_500, 1_500, 512, 2_000


def main() -> None:
    arguments = figures.arguments(__doc__, _extend)
    speed, rows = _speed(arguments.voxels, arguments.loop_voxels)
    figures.emit(f"{N_RESAMPLES} resamples of {N_TEST} images, {arguments.voxels} voxels", speed, rows)
    null, rows = _null(arguments.seeds, arguments.null_voxels)
    figures.emit(
        f"shuffled responses, {arguments.seeds} seeds × {arguments.null_voxels} voxels",
        speed | null,
        rows,
        arguments.json,
    )


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--voxels", type=int, default=2_000, help="voxels that the bootstrap is timed on")
    parser.add_argument("--loop-voxels", type=int, default=20, help="voxels that the loop is timed on")
    parser.add_argument("--seeds", type=int, default=20, help="shuffles")
    parser.add_argument("--null-voxels", type=int, default=1_000, help="voxels of each shuffle")


def naive_count(measured: np.ndarray, predicted: np.ndarray, seed: int) -> int:
    """What one writes first: resample, compute R², count."""
    rng = np.random.default_rng(seed)
    below = 0
    for _ in range(N_RESAMPLES):
        drawn = rng.integers(0, N_TEST, N_TEST)
        y, guess = measured[drawn], predicted[drawn]
        below += bool(1 - np.mean((y - guess) ** 2) / np.var(y) < 0)
    return below


def _speed(n_voxels: int, n_loop: int) -> tuple[dict[str, float], list[figures.Row]]:
    rng = np.random.default_rng(0)
    predicted = rng.standard_normal((N_TEST, n_voxels))
    # From no signal to some: most voxels of a brain are near the threshold, where counts are neither 0 nor all.
    measured = predicted * np.linspace(0.4, 0.6, n_voxels) + rng.standard_normal((N_TEST, n_voxels))
    bootstrap_p(measured[:, :2], predicted[:, :2], 10, 0)  # BLAS starts its threads
    seconds, p = figures.timed(lambda: bootstrap_p(measured, predicted, N_RESAMPLES, 0), repeats=5)
    some = np.linspace(0, n_voxels - 1, n_loop).astype(int)
    loop_seconds, counts = figures.timed(lambda: [naive_count(measured[:, v], predicted[:, v], 0) for v in some])
    loop_seconds *= n_voxels / n_loop
    weights, responses = torch.from_numpy(rng.standard_normal((N_RESAMPLES, N_TEST))), torch.from_numpy(measured)
    product = torch.empty(N_RESAMPLES, n_voxels, dtype=torch.float64)
    floor_seconds, _ = figures.timed(lambda: torch.mm(weights, responses, out=product), repeats=5)
    rows: list[figures.Row] = [
        {"what": "two products (floor)", "seconds": 2 * floor_seconds},
        {"what": "bootstrap_p", "seconds": seconds},
        {"what": f"loop ({n_loop} voxels, scaled)", "seconds": loop_seconds},
    ]
    return {
        "bootstrap_s": seconds,
        "bootstrap_loop_s": loop_seconds,
        "bootstrap_floor_s": 2 * floor_seconds,
        "bootstrap_ratio_naive": loop_seconds / seconds,
        "counts_equal": float(np.array_equal(np.rint(p[some] * N_RESAMPLES).astype(int), counts)),
        "bootstrap_floor_fraction": 2 * floor_seconds / seconds,
    }, rows


def _null(n_seeds: int, n_voxels: int) -> tuple[dict[str, float], list[figures.Row]]:
    rng = np.random.default_rng(1)
    features = rng.standard_normal((N_TRAIN + N_TEST, N_FEATURES))
    weights = rng.standard_normal((N_FEATURES, n_voxels)) / np.sqrt(N_FEATURES)
    responses = features @ weights + rng.standard_normal((len(features), n_voxels))
    ridge = Ridge(features[:N_TRAIN], np.logspace(-8, 10, 100), [rng.permutation(N_TRAIN)[: N_TRAIN * 15 // 100]])
    p05, passed, any_passed = (dict.fromkeys(("bootstrap", "correlation"), 0.0) for _ in range(3))
    for seed in range(n_seeds):
        shuffled = responses[np.random.default_rng(seed).permutation(len(responses))]
        predicted = ridge.fit(shuffled[:N_TRAIN]).predict(features[N_TRAIN:])
        measured = shuffled[N_TRAIN:]
        tests = {
            "bootstrap": bootstrap_p(measured, predicted, N_RESAMPLES, seed),
            "correlation": correlation_p(measured, predicted),
        }
        for name, p in tests.items():
            discoveries = np.mean(benjamini_hochberg(p) <= 0.05)
            p05[name] += float(np.mean(p < 0.05)) / n_seeds
            passed[name] += float(discoveries) / n_seeds
            any_passed[name] += float(discoveries > 0) / n_seeds
    rows: list[figures.Row] = [
        {"test": name, "p < 0.05": p05[name], "pass FDR": passed[name], "shuffles with any pass": any_passed[name]}
        for name in p05
    ]
    return {
        "null_p05_share": p05["bootstrap"],
        "null_fdr_share": passed["bootstrap"],
        "null_fdr_any": any_passed["bootstrap"],
        "null_p05_share_correlation": p05["correlation"],
        "null_fdr_share_correlation": passed["correlation"],
        "null_fdr_any_correlation": any_passed["correlation"],
    }, rows


if __name__ == "__main__":
    main()
