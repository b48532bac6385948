// Which of two things voxels prefer: the share with an interval that respects that neighbouring voxels are alike.
// @ts-check
import { inBlocks, mean, placed } from "./clusters.js";

const RESAMPLES = 1000;

/**
 * @typedef {object} Preference
 * @property {number} share of the voxels whose difference is above 0; NaN for no voxel
 * @property {number} lo of its 95 % interval
 * @property {number} hi
 * @property {number} n voxels that were counted
 * @property {number} blocks of cortex that were resampled; 0 where voxels were, as their places are not known
 */

/**
 * @param {Float32Array} difference A less B, one per voxel; NaN counts for nothing
 * @param {Set<number> | null} among null for all
 * @param {Float32Array} mm x, y, z of each voxel; empty or NaN where not known
 * @returns {Preference}
 */
export function preference(difference, among, mm) {
  const counted = [...difference.keys()].filter((voxel) => !Number.isNaN(difference[voxel]) && (!among || among.has(voxel)));
  const blocks = inBlocks(counted, (voxel) => Number(difference[voxel] > 0), mm);
  const { n, mean: share } = mean(blocks);
  if (!n) return { share, lo: NaN, hi: NaN, n, blocks: 0 };
  // The same voxels always give the same interval (Park and Miller 1988).
  let state = 20240601;
  const pick = () => Math.floor(((state = (state * 48271) % 2147483647) / 2147483647) * blocks.length);
  const shares = Array.from({ length: RESAMPLES }, () => {
    let [above, all] = [0, 0];
    for (let draw = 0; draw < blocks.length; draw++) {
      const one = blocks[pick()];
      above += one.sum;
      all += one.n;
    }
    return above / all;
  }).sort((a, b) => a - b);
  return { share, lo: shares[Math.floor(0.025 * RESAMPLES)], hi: shares[Math.ceil(0.975 * RESAMPLES) - 1], n, blocks: counted.every((voxel) => placed(voxel, mm)) ? blocks.length : 0 };
}

/**
 * Pearson's correlation of two values over voxels that have both.
 * @param {Float32Array} a
 * @param {Float32Array} b
 */
export function correlation(a, b) {
  let [n, sumA, sumB, squaresA, squaresB, products] = [0, 0, 0, 0, 0, 0];
  for (let at = 0; at < a.length; at++) {
    if (Number.isNaN(a[at] + b[at])) continue;
    n++;
    sumA += a[at];
    sumB += b[at];
    squaresA += a[at] ** 2;
    squaresB += b[at] ** 2;
    products += a[at] * b[at];
  }
  return (n * products - sumA * sumB) / Math.sqrt((n * squaresA - sumA ** 2) * (n * squaresB - sumB ** 2));
}

/**
 * Whether a place lies in a polygon (even-odd rule).
 * @param {number[][]} polygon
 * @param {number} x
 * @param {number} y
 */
export function inside(polygon, x, y) {
  let within = false;
  polygon.forEach(([toX, toY], at) => {
    const [fromX, fromY] = polygon.at(at - 1) ?? [toX, toY];
    if (fromY > y !== toY > y && x < fromX + ((y - fromY) / (toY - fromY)) * (toX - fromX)) within = !within;
  });
  return within;
}
