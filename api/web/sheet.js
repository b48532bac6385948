// One picture of maps that stand side by side: each with its title and colour bar, the dots, and what is said of them.
// @ts-check
import { png } from "./files.js";

const [WIDTH, GAP, LETTERS] = [1024, 24, 22];

/**
 * @param {{title: string, image: ImageBitmap | HTMLCanvasElement}[]} parts
 * @param {string[]} lines below them
 * @returns {Promise<Blob>} a PNG of two columns
 */
export function sheet(parts, lines) {
  const canvas = document.createElement("canvas");
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const heights = parts.map(({ image }) => Math.round((image.height * WIDTH) / image.width) + 2 * LETTERS);
  const rows = Array.from({ length: Math.ceil(parts.length / 2) }, (_, row) => Math.max(...heights.slice(2 * row, 2 * row + 2)));
  canvas.width = 2 * WIDTH + 3 * GAP;
  canvas.height = rows.reduce((sum, height) => sum + height + GAP, GAP) + lines.length * LETTERS * 1.6 + GAP;
  pen.fillStyle = "white";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = "#262626";
  pen.textBaseline = "top";
  let top = GAP;
  parts.forEach(({ title, image }, at) => {
    const left = GAP + (at % 2) * (WIDTH + GAP);
    pen.font = `600 ${LETTERS}px sans-serif`;
    pen.fillText(title, left, top, WIDTH);
    pen.drawImage(image, left, top + 1.6 * LETTERS, WIDTH, heights[at] - 2 * LETTERS);
    if (at % 2 || at === parts.length - 1) top += rows[Math.floor(at / 2)] + GAP;
  });
  pen.font = `${LETTERS}px sans-serif`;
  for (const line of lines) {
    pen.fillText(line, GAP, top, canvas.width - 2 * GAP);
    top += 1.6 * LETTERS;
  }
  return png(canvas);
}
