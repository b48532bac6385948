// Figures as images, paths and text, in units of which the width has 1,024; and the files that are made of them.
// @ts-check
import { draw } from "./dom.js";
import { png } from "./files.js";
import { Trouble, reach, refused } from "./server.js";

const FONT = "DejaVu Sans, Verdana, sans-serif";
const INK = "#262626";
// Pixels of a PNG for each unit.
const SCALE = 2;

/**
 * @typedef {object} ImageMark
 * @property {string} image a PNG as a data URL
 * @property {number} x
 * @property {number} y
 * @property {number} width
 * @property {number} height
 *
 * @typedef {object} PathMark
 * @property {string} path M, L and Z with absolute places
 * @property {string} [stroke]
 * @property {string} [fill]
 * @property {number} [thick]
 * @property {number} [opacity]
 * @property {number[]} [clip] left, top, width and height of what is seen of it
 *
 * @typedef {object} TextMark
 * @property {string} text
 * @property {number} x
 * @property {number} y its middle
 * @property {number} size
 * @property {"start" | "middle" | "end"} [align]
 * @property {boolean} [bold]
 * @property {string} [fill]
 * @property {string} [halo]
 * @property {number} [opacity]
 *
 * @typedef {ImageMark | PathMark | TextMark} Mark
 * @typedef {{width: number, height: number, title: string, marks: Mark[]}} Figure
 */

/** @param {Figure} figure */
export function svg({ width, height, title, marks }) {
  const clips = new Map();
  /** @returns {Record<string, string>} */
  const clipped = (/** @type {number[] | undefined} */ clip) => {
    if (!clip) return {};
    const key = clip.join(" ");
    if (!clips.has(key)) clips.set(key, `clip-${clips.size}`);
    return { "clip-path": `url(#${clips.get(key)})` };
  };
  const drawn = marks.flatMap((mark) => {
    if ("image" in mark) return draw("image", { href: mark.image, x: mark.x, y: mark.y, width: mark.width, height: mark.height, preserveAspectRatio: "none" });
    if ("path" in mark) {
      const { path, stroke = "none", fill = "none", thick = 1, opacity = 1, clip } = mark;
      return draw("path", { d: path, stroke, fill, "stroke-width": thick, opacity, "stroke-linejoin": "round", ...clipped(clip) });
    }
    const { text, x, y, size, align = "start", bold = false, fill = INK, halo, opacity = 1 } = mark;
    const how = { x, y, fill, opacity, "font-size": size, "font-weight": bold ? 700 : 400, "text-anchor": align, "dominant-baseline": "central" };
    // Two, as not every program draws the edge below the letters.
    const edge = halo ? [draw("text", { ...how, stroke: halo, "stroke-width": size / 5, "stroke-linejoin": "round" }, text)] : [];
    return [...edge, draw("text", how, text)];
  });
  const definitions = [...clips].map(([key, id]) => {
    const [x, y, wide, high] = key.split(" ");
    return draw("clipPath", { id }, draw("rect", { x, y, width: wide, height: high }));
  });
  const all = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "font-family": FONT }, draw("title", {}, title), draw("defs", {}, ...definitions), draw("rect", { width, height, fill: "#fff" }), ...drawn);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(all)}\n`;
}

/**
 * @param {Figure} figure
 * @returns {Promise<Blob>} a PNG
 */
export async function raster(figure) {
  const picture = new Image();
  picture.src = URL.createObjectURL(new Blob([svg(figure)], { type: "image/svg+xml" }));
  await picture.decode().catch(() => {
    throw new Trouble("The browser made no picture.", "NO_PICTURE");
  }).finally(() => URL.revokeObjectURL(picture.src));
  const canvas = document.createElement("canvas");
  canvas.width = figure.width * SCALE;
  canvas.height = Math.round(figure.height * SCALE);
  canvas.getContext("2d")?.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return png(canvas);
}

/**
 * @param {Figure} figure
 * @returns {Promise<Blob>} a PDF, which the server makes with its fonts in it
 */
export async function pdf(figure) {
  const response = await reach("figure.pdf", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(figure) });
  if (!response.ok) await refused(response);
  return response.blob();
}

/**
 * Text in lines that are no wider than there is room.
 * @param {string} text
 * @param {number} size
 * @param {number} room
 * @param {boolean} [bold]
 */
export function lines(text, size, room, bold = false) {
  const pen = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));
  pen.font = `${bold ? 700 : 400} ${size}px ${FONT}`;
  /** @type {string[]} */
  const made = [];
  for (const word of text.split(" ")) {
    const longer = made.length ? `${made[made.length - 1]} ${word}` : word;
    if (made.length && pen.measureText(longer).width <= room) made[made.length - 1] = longer;
    else made.push(word);
  }
  return made;
}
