// Whether two groups of voxels differ, though neighbouring voxels are alike: voxels are counted in blocks of cortex.
// @ts-check

const BLOCK_MM = 10;
// Fewer blocks say nothing of how much blocks differ.
export const LEAST_BLOCKS = 5;

/** @typedef {{n: number, sum: number}} Block voxels that count, and the sum of their values */

/**
 * @param {Iterable<number>} voxels
 * @param {(voxel: number) => number} valueOf NaN counts for nothing
 * @param {Float32Array} mm x, y, z of each voxel; a voxel without a place is a block of its own
 * @returns {Block[]}
 */
export function inBlocks(voxels, valueOf, mm) {
  /** @type {Map<string, Block>} */
  const blocks = new Map();
  for (const voxel of voxels) {
    const value = valueOf(voxel);
    if (Number.isNaN(value)) continue;
    const key = placed(voxel, mm) ? [0, 1, 2].map((axis) => Math.floor(mm[3 * voxel + axis] / BLOCK_MM)).join(" ") : `voxel ${voxel}`;
    const block = blocks.get(key) ?? { n: 0, sum: 0 };
    block.n++;
    block.sum += value;
    blocks.set(key, block);
  }
  return [...blocks.values()];
}

/**
 * Whether it is known where a voxel lies.
 * @param {number} voxel
 * @param {Float32Array} mm
 */
export function placed(voxel, mm) {
  return [0, 1, 2].every((axis) => Number.isFinite(mm[3 * voxel + axis]));
}

/** @param {Block[]} blocks */
export function mean(blocks) {
  const [n, sum] = [blocks.reduce((all, one) => all + one.n, 0), blocks.reduce((all, one) => all + one.sum, 0)];
  return { n, mean: n ? sum / n : NaN };
}

/**
 * Two-sided p of no difference between the means of two groups: the ratio estimator's linearised variance over clusters
 * (Cochran 1977, Sampling Techniques, section 6.3), and Student's t with as many degrees of freedom as there are blocks less two.
 * @param {Block[]} a
 * @param {Block[]} b
 * @returns {number} NaN where either has fewer than five blocks, or nothing varies
 */
export function difference(a, b) {
  if (Math.min(a.length, b.length) < LEAST_BLOCKS) return NaN;
  const variance = (/** @type {Block[]} */ blocks) => {
    const { n, mean: average } = mean(blocks);
    return (blocks.reduce((sum, one) => sum + (one.sum - average * one.n) ** 2, 0) / n ** 2) * (blocks.length / (blocks.length - 1));
  };
  const t = (mean(a).mean - mean(b).mean) / Math.sqrt(variance(a) + variance(b));
  const freedom = a.length + b.length - 2;
  // Abramowitz and Stegun 26.7.8: the normal deviate of a t.
  const z = (Math.abs(t) * (1 - 1 / (4 * freedom))) / Math.sqrt(1 + t ** 2 / (2 * freedom));
  return 2 * upperTail(z);
}

/**
 * The normal distribution's upper tail (Abramowitz and Stegun 26.2.17; wrong by at most 7.5e-8).
 * @param {number} z
 * @returns {number}
 */
export function upperTail(z) {
  if (z < 0) return 1 - upperTail(-z);
  const t = 1 / (1 + 0.2316419 * z);
  const polynomial = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * polynomial;
}

/**
 * False discovery rates (Benjamini and Hochberg 1995); NaN stays NaN and counts for no test.
 * @param {number[]} p
 */
export function falseDiscovery(p) {
  const order = p.map((value, at) => ({ value, at })).filter(({ value }) => !Number.isNaN(value)).sort((one, other) => other.value - one.value);
  const rates = p.map(() => NaN);
  let least = 1;
  order.forEach(({ value, at }, rank) => {
    least = Math.min(least, (value * order.length) / (order.length - rank));
    rates[at] = least;
  });
  return rates;
}
