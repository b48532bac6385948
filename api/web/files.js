// Files that the page makes: saving them, pictures, and cells of tables that no spreadsheet misreads.
// @ts-check
import { Trouble } from "./server.js";

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

/** @param {unknown} value */
export function cell(value) {
  const text = String(value);
  // A spreadsheet would take a label that begins so for a formula.
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
