// The flat map as the skin of the cortex in 3-D: the same pixels, outlines and rings, so that both views show the same.
// @ts-check
import { patches } from "./flatmap.js";
import { CHOSEN, flatColours, grey } from "./paint.js";
import { OUTSIDE } from "./subject.js";

// Pixels of the skin for each of the flat map's, so that lines are fine.
const SCALE = 2;
// Pixels around the flat map that repeat its edge: faces at a cut reach so far.
const MARGIN = 3;
const LINES = [["rgb(0 0 0 / 55%)", 3], ["#fff", 1.3]];
const RINGS = [["#111", 5], [`#${[CHOSEN & 255, (CHOSEN >> 8) & 255, (CHOSEN >> 16) & 255].map((part) => part.toString(16).padStart(2, "0")).join("")}`, 2.5]];
const RING = 9;
const FAINT = 0.45;

export class Skin {
  /** @param {import("./subject.js").Subject} subject one that has a flat map */
  constructor({ pixels, base, regions }) {
    this.pixels = /** @type {import("./subject.js").FlatPixels} */ (pixels);
    this.base = base;
    this.near = nearest(this.pixels);
    const { width, height } = this.pixels;
    this.small = new OffscreenCanvas(width, height);
    this.canvas = document.createElement("canvas");
    this.canvas.width = width * SCALE;
    this.canvas.height = height * SCALE;
    this.paths = regions.flatMap(({ paths, voxels }) => paths.filter((path) => path.length >= 6).map((path) => ({ path: outline(path, width, height), empty: !voxels.length })));
  }

  /**
   * @param {import("./shown.js").Shown} shown
   * @param {Set<number> | null} focus
   * @param {number | null} chosen
   */
  paint(shown, focus, chosen) {
    const { width, height } = this.pixels;
    const colours = flatColours(this.pixels, this.base, shown, focus);
    const bare = grey(127);
    const pixels = Uint32Array.from(this.near, (from) => (from < 0 ? bare : colours[from]));
    /** @type {OffscreenCanvasRenderingContext2D} */ (this.small.getContext("2d")).putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), width, height), 0, 0);
    const pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    pen.setTransform(SCALE, 0, 0, SCALE, 0, 0);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(this.small, 0, 0);
    pen.lineJoin = "round";
    const stroke = (/** @type {(string | number)[][]} */ lines, /** @type {Path2D} */ path) => {
      for (const [colour, thick] of lines) {
        pen.strokeStyle = String(colour);
        pen.lineWidth = Number(thick);
        pen.stroke(path);
      }
    };
    for (const { path, empty } of this.paths) {
      pen.globalAlpha = empty ? FAINT : 1;
      stroke(LINES, path);
    }
    pen.globalAlpha = 1;
    for (const { x, y } of chosen === null ? [] : patches(this.pixels, chosen)) {
      const ring = new Path2D();
      ring.arc(x, y, RING, 0, 2 * Math.PI);
      stroke(RINGS, ring);
    }
  }

  /**
   * The voxel that a place of the skin shows; −1 for none.
   * @param {number} u as a share of the flat map's width
   * @param {number} v likewise of its height, from the top
   */
  voxelAt(u, v) {
    const { width, height, voxelAt } = this.pixels;
    const [column, row] = [Math.floor(u * width), Math.floor(v * height)];
    if (column < 0 || row < 0 || column >= width || row >= height) return -1;
    return Math.max(-1, voxelAt[this.near[row * width + column]] ?? -1);
  }
}

/**
 * For each pixel the one whose colour it has: its own on the cortex, at its edge one of those beside it, else −1.
 * @param {import("./subject.js").FlatPixels} pixels
 */
function nearest({ width, voxelAt }) {
  const from = Int32Array.from(voxelAt, (voxel, place) => (voxel === OUTSIDE ? -1 : place));
  const steps = [-1, 1, -width, width];
  let edge = [...from.keys()].filter((place) => from[place] >= 0 && steps.some((step) => from[place + step] === -1));
  for (let ring = 0; ring < MARGIN; ring++) {
    const next = [];
    for (const place of edge)
      for (const step of steps)
        if (from[place + step] === -1) {
          from[place + step] = from[place];
          next.push(place + step);
        }
    edge = next;
  }
  return from;
}

/**
 * @param {number[]} path x, y, x, y … as fractions
 * @param {number} width
 * @param {number} height
 */
function outline(path, width, height) {
  const line = new Path2D();
  for (let at = 0; at < path.length; at += 2) line.lineTo(path[at] * width, path[at + 1] * height);
  line.closePath();
  return line;
}
