// Every subject of a group as a small map of its own, all in the same colours.
// @ts-check
import { figure, find, make } from "./dom.js";
import { paintRamp } from "./legend.js";
import { coloured } from "./shown.js";

const WIDTH = 360;

export class Multiples {
  /** @param {(model: string) => void} choose shows a subject's own model */
  constructor(choose) {
    this.place = find("multiples", HTMLElement);
    this.choose = choose;
  }

  clear() {
    this.place.hidden = true;
    this.place.replaceChildren();
  }

  /**
   * @param {any} header of a group's map
   * @param {any} arrays with the similarities of all vertices of each subject, one subject after the other, and their colours
   * @param {import("./subject.js").Subject} subject the shared surface
   */
  show(header, { similarities, colour_of_subjects: table }, subject) {
    const { pixels, base } = subject;
    if (!pixels) return this.clear();
    const scale = { table, lo: header.subjects_lo, hi: header.subjects_hi, logarithmic: false, fixed: false };
    const n = similarities.length / header.subjects.length;
    const places = sampled(pixels);
    const maps = header.subjects.map((/** @type {import("./group.js").Member} */ { subject_id: name, model_id: model, leave_one_out_r: r }, /** @type {number} */ at) => {
      const colours = coloured(similarities.subarray(at * n, (at + 1) * n), scale);
      const canvas = make("canvas", { width: WIDTH, height: places.length / WIDTH, role: "img", "aria-label": `Map of ${name}` });
      const image = new ImageData(WIDTH, places.length / WIDTH);
      const painted = new Uint32Array(image.data.buffer);
      places.forEach((place, here) => { painted[here] = (pixels.voxelAt[place] >= 0 && colours[pixels.voxelAt[place]]) || base[place]; });
      canvas.getContext("2d")?.putImageData(image, 0, 0);
      const open = make("button", { type: "button", class: "link", title: `Show the model ${model}`, click: () => this.choose(model) }, name);
      return make("figure", {}, canvas, make("figcaption", { class: "note" }, open, r === null ? "" : ` · r ${figure(r)} with the others`));
    });
    const ramp = make("canvas", { class: "ramp", width: 256, height: 1, role: "img", "aria-label": `Colour bar: similarity from ${figure(scale.lo)} to ${figure(scale.hi)}` });
    paintRamp(ramp, scale.table);
    const ticks = make("div", { class: "ticks" }, ...[scale.lo, (scale.lo + scale.hi) / 2, scale.hi].map((value) => make("span", {}, figure(value))));
    this.place.replaceChildren(make("h3", {}, "Every subject's similarity, on one scale"), make("div", { class: "small-maps" }, ...maps), make("div", { class: "said" }, ramp, ticks));
    this.place.hidden = false;
  }
}

/**
 * The pixels of a flat map that a small one shows.
 * @param {import("./subject.js").FlatPixels} pixels
 */
function sampled({ width, height }) {
  const step = width / WIDTH;
  const rows = Math.max(1, Math.round(height / step));
  return Uint32Array.from({ length: WIDTH * rows }, (_, at) => Math.min(height - 1, Math.floor((Math.floor(at / WIDTH) + 0.5) * step)) * width + Math.floor(((at % WIDTH) + 0.5) * step));
}
