// Files that the page makes: saving them, pictures, and cells of tables that no spreadsheet misreads.
// @ts-check
import { Trouble } from "./server.js";

const FINE = 2048;

/**
 * @param {Blob} blob
 * @param {string} name
 * @param {string} suffix
 */
export function save(blob, name, suffix) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${name.replace(/[^\p{L}\p{N}.]+/gu, "-").replace(/^-|-$/g, "").slice(0, 120) || "voxel-atlas"}.${suffix}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/**
 * What is drawn on a canvas, as a PNG.
 * @param {HTMLCanvasElement} canvas
 * @returns {Promise<Blob>}
 */
export function png(canvas) {
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Trouble("The browser made no picture.", "NO_PICTURE"))), "image/png"));
}

/**
 * What is drawn on a canvas, on white, as a data URL of a PNG.
 * @param {HTMLCanvasElement | OffscreenCanvas} source
 * @param {number[]} [part] left, top, width and height of what is taken, made 2,048 pixels wide; all without it
 */
export function onWhite(source, part) {
  const canvas = document.createElement("canvas");
  const [left, top, width, height] = part ?? [0, 0, source.width, source.height];
  canvas.width = part ? FINE : width;
  canvas.height = Math.round((canvas.width * height) / width);
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(source, left, top, width, height, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL();
}

/** @param {unknown} value */
export function cell(value) {
  const text = String(value);
  // A spreadsheet would take a label that begins so for a formula.
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
