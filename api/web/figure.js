// Figures of what is seen: each map with its title, colour bar, unit and what it leaves out, of which model.
// @ts-check
import { patches } from "./flatmap.js";
import { onWhite } from "./files.js";
import { paintRamp, ticks } from "./legend.js";
import { lines } from "./marks.js";
import { placeNames } from "./names.js";
import { widths } from "./outlines.js";
import { flatColours } from "./paint.js";
import { bare } from "./subject.js";

const WIDTH = 1024;
const [MARGIN, GAP] = [24, 20];
const [RING, FAINT] = [9, 0.45];

/**
 * @typedef {import("./marks.js").Mark} Mark
 * @typedef {import("./shown.js").Shown} Shown
 *
 * @typedef {object} Part something that stands in a figure
 * @property {string} title
 * @property {number} aspect width against height
 * @property {(x: number, y: number, width: number) => Mark[]} draw
 * @property {Shown | null} shown what its colours mean; null for no colours
 * @property {{text: string, colour: string}[]} key colours that stand for names
 */

/**
 * @param {Part[]} parts
 * @param {string[]} said below them
 * @returns {import("./marks.js").Figure}
 */
export function compose(parts, said) {
  const columns = parts.length > 1 ? 2 : 1;
  const wide = (WIDTH - 2 * MARGIN - (columns - 1) * GAP) / columns;
  /** @type {Mark[]} */
  const marks = [];
  let top = MARGIN / 2;
  for (let first = 0; first < parts.length; first += columns) {
    let bottom = top;
    parts.slice(first, first + columns).forEach((part, column) => {
      const x = MARGIN + column * (wide + GAP);
      const size = columns > 1 ? 14 : 17;
      let y = top;
      for (const line of lines(part.title, size, wide, true)) {
        marks.push({ text: line, x: x + wide / 2, y: y + size, size, align: "middle", bold: true });
        y += 1.4 * size;
      }
      y += size;
      marks.push(...part.draw(x, y, wide));
      y += wide / part.aspect + 10;
      y = legend(part, x, y, wide, marks);
      bottom = Math.max(bottom, y);
    });
    top = bottom + GAP;
  }
  for (const line of said.flatMap((sentence) => lines(sentence, 12, WIDTH - 2 * MARGIN))) {
    marks.push({ text: line, x: MARGIN, y: top, size: 12 });
    top += 17;
  }
  return { width: WIDTH, height: Math.ceil(top), title: parts[0].title, marks };
}

/**
 * @param {Part} part
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @param {Mark[]} marks to which it is added
 * @returns {number} where it ends
 */
function legend({ shown, key }, x, y, width, marks) {
  const write = (/** @type {string} */ text) => {
    for (const line of lines(text, 12, width)) {
      marks.push({ text: line, x, y: y + 8, size: 12 });
      y += 17;
    }
  };
  if (shown?.scale) {
    const ramp = document.createElement("canvas");
    [ramp.width, ramp.height] = [256, 1];
    paintRamp(ramp, shown.scale.table);
    const long = Math.min(300, width);
    write(shown.unit);
    marks.push({ image: ramp.toDataURL(), x, y, width: long, height: 14 });
    const { lo, middle, hi } = ticks(shown.scale);
    [[lo, 0, "start"], [middle, long / 2, "middle"], [hi, long, "end"]].forEach(([text, at, align]) => marks.push({ text: String(text), x: x + Number(at), y: y + 23, size: 12, align: /** @type {"start"} */ (align) }));
    y += 34;
  } else if (shown) write(shown.unit);
  const cell = 128;
  const columns = Math.floor(width / cell);
  key.forEach(({ text, colour }, at) => {
    const [left, middle] = [x + (at % columns) * cell, y + 20 * Math.floor(at / columns) + 9];
    marks.push({ path: box(left, middle - 6, 12, 12), fill: hexadecimal(colour) }, { text: lines(text, 12, cell - 24)[0], x: left + 17, y: middle, size: 12 });
  });
  if (key.length) y += 20 * Math.ceil(key.length / columns) + 6;
  if (shown) for (const line of [shown.leftOut, shown.heldTo, `${shown.model}${shown.simulated ? " · simulated subject" : ""}`]) if (line) write(line);
  return y;
}

/**
 * The part of a flat map that is seen, its pixels as an image and the rest as paths and text.
 * @param {string} title
 * @param {object} what
 * @param {import("./subject.js").Subject} what.subject
 * @param {import("./subject.js").FlatPixels} what.pixels as many as there can be
 * @param {Shown} what.shown
 * @param {Set<number> | null} what.focus
 * @param {number | null} what.chosen
 * @param {import("./viewport.js").Part} what.part
 * @returns {Part}
 */
export function flatPart(title, { subject, pixels, shown, focus, chosen, part: { k, x: left, y: top } }) {
  const { width: across, height: down } = pixels;
  const whole = new OffscreenCanvas(across, down);
  whole.getContext("2d")?.putImageData(new ImageData(new Uint8ClampedArray(flatColours(pixels, bare(pixels), shown, focus).buffer), across, down), 0, 0);
  const image = onWhite(whole, [left * across, top * down, across / k, down / k]);
  const aspect = across / down;
  const rings = chosen === null ? [] : patches(pixels, chosen).map(({ x, y }) => [x / across, y / down]);
  const draw = (/** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ width) => {
    const height = width / aspect;
    const clip = [x, y, width, height].map((side) => Math.round(10 * side) / 10);
    const place = (/** @type {number} */ u, /** @type {number} */ v) => [x + (u - left) * k * width, y + (v - top) * k * height];
    const unit = width / WIDTH;
    /** @type {Mark[]} */
    const marks = [{ image, x, y, width, height }];
    for (const { paths, voxels } of subject.regions)
      for (const path of paths) {
        if (path.length < 6) continue;
        const line = path.flatMap((_, at) => (at % 2 ? [] : [place(path[at], path[at + 1])]));
        const opacity = voxels.length ? 1 : FAINT;
        marks.push({ path: closed(line), stroke: "#404040", thick: 2.6 * unit, opacity, clip }, { path: closed(line), stroke: "#ffffff", thick: 1.1 * unit, opacity, clip });
      }
    const anchors = subject.regions.flatMap(({ name, names, voxels }) => names.map(([u, v, rank]) => ({ name, place: place(u, v), rank, empty: !voxels.length })));
    anchors.sort((a, b) => Number(a.empty) - Number(b.empty) || a.rank - b.rank);
    marks.push(...named(anchors, Math.max(8, 12 * unit), x, y, width, height));
    for (const [u, v] of rings) {
      const [middle, centre] = place(u, v);
      const round = Array.from({ length: 32 }, (_, at) => [middle + RING * Math.cos((at * Math.PI) / 16), centre + RING * Math.sin((at * Math.PI) / 16)]);
      marks.push({ path: closed(round), stroke: "#111111", thick: 5, clip }, { path: closed(round), stroke: "#ffd640", thick: 2.5, clip });
    }
    return marks;
  };
  return { title, aspect, draw, shown, key: shown.names };
}

/**
 * What is seen in 3-D: an image, with its names as text.
 * @param {string} title
 * @param {{image: string, width: number, height: number, anchors: {name: string, place: number[], empty: boolean}[]}} view
 * @param {Shown} shown
 * @returns {Part}
 */
export function solidPart(title, { image, width: across, height: down, anchors }, shown) {
  const draw = (/** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ width) => {
    const scale = width / across;
    const there = anchors.map((anchor) => ({ ...anchor, place: [x + anchor.place[0] * scale, y + anchor.place[1] * scale] }));
    return [{ image, x, y, width, height: down * scale }, ...named(there, Math.max(8, (12 * width) / WIDTH), x, y, width, down * scale)];
  };
  return { title, aspect: across / down, draw, shown, key: shown.names };
}

/**
 * @param {string} title
 * @param {HTMLCanvasElement} canvas
 * @param {{text: string, colour: string}[]} key
 * @returns {Part}
 */
export function dotsPart(title, canvas, key) {
  const image = onWhite(canvas);
  const aspect = canvas.width / canvas.height;
  return { title, aspect, draw: (x, y, width) => [{ image, x, y, width, height: width / aspect }], shown: null, key };
}

/**
 * Names where there is room for them, with lines to what they name.
 * @param {{name: string, place: number[], empty: boolean}[]} anchors most important first
 * @param {number} size
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @param {number} height
 * @returns {Mark[]}
 */
function named(anchors, size, x, y, width, height) {
  const places = anchors.map(({ place }) => [place[0] - x, place[1] - y]);
  // DejaVu Sans is wider than most fonts of a page.
  const wide = widths(anchors.map(({ name }) => name), "DejaVu Sans, Verdana, sans-serif");
  return placeNames(places, wide.map((em) => em * size), size, [width, height]).flatMap((name) => {
    const { name: text, place, empty } = anchors[name.at];
    const opacity = empty ? FAINT : 1;
    const line = name.leader ? `M${short(place)}L${short([x + name.leader[0], y + name.leader[1]])}` : "";
    const leader = line ? [{ path: line, stroke: "#404040", thick: 2.2, opacity }, { path: line, stroke: "#ffffff", thick: 0.9, opacity }] : [];
    return [...leader, { text, x: x + name.x, y: y + name.y, size, align: /** @type {const} */ ("middle"), bold: true, fill: "#ffffff", halo: "#404040", opacity }];
  });
}

/** @param {string} colour in any way that a style sheet has */
function hexadecimal(colour) {
  const pen = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));
  pen.fillStyle = colour;
  return String(pen.fillStyle);
}

/** @param {number[][]} line */
function closed(line) {
  return `M${line.map(short).join("L")}Z`;
}

/** @param {number[]} place */
function short(place) {
  return place.map((part) => part.toFixed(1)).join(" ");
}

/**
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @param {number} height
 */
function box(x, y, width, height) {
  return closed([[x, y], [x + width, y], [x + width, y + height], [x, y + height]]);
}
