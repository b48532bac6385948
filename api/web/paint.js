// Colours as both views paint them: dimmed outside of what is chosen, mixed with the grey of the cortex.
// @ts-check
import { pack } from "./shown.js";

const SULCUS = 140;
const GYRUS = 196;
const DIMMED = 0.25;
export const CHOSEN = pack(255, 214, 64);

/**
 * The bare cortex: sulci dark, gyri light.
 * @param {number} curvature 0 to 255
 */
export function grey(curvature) {
  const shade = Math.round(SULCUS + ((GYRUS - SULCUS) * curvature) / 255);
  return pack(shade, shade, shade);
}

/**
 * The colours of what is shown; voxels outside of the focus are dimmed.
 * @param {import("./shown.js").Shown} shown
 * @param {Set<number> | null} focus
 */
export function focused({ colours }, focus) {
  if (!focus) return colours;
  const neutral = grey(127);
  return colours.map((colour, voxel) => (!colour || focus.has(voxel) ? colour : mixed(colour, neutral, 255 * DIMMED)));
}

/**
 * @param {number} over
 * @param {number} under
 * @param {number} opacity 0 to 255
 */
export function mixed(over, under, opacity) {
  const part = (/** @type {number} */ shift) => {
    const below = (under >>> shift) & 255;
    return Math.round(below + ((((over >>> shift) & 255) - below) * opacity) / 255);
  };
  return pack(part(0), part(8), part(16));
}

/**
 * The colour of each pixel of a flat map; 0 where there is no cortex.
 * @param {import("./subject.js").FlatPixels} pixels
 * @param {Uint32Array} base the bare cortex
 * @param {import("./shown.js").Shown} shown
 * @param {Set<number> | null} focus
 */
export function flatColours({ voxelAt }, base, shown, focus) {
  const painted = base.slice();
  const colours = focused(shown, focus);
  const { opacity } = shown;
  for (let place = 0; place < painted.length; place++) {
    const voxel = voxelAt[place];
    if (voxel < 0 || !colours[voxel]) continue;
    painted[place] = opacity ? mixed(colours[voxel], painted[place], opacity[voxel]) : colours[voxel];
  }
  return painted;
}
