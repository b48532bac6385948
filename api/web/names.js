// Where names go: on what they name or beside it with a line to it, and never over each other. viz/render/lettering.py does
// the same for pictures.
// @ts-check

const [AROUND, TALL] = [0.3, 1.3];
const RINGS = [1, 2, 3, 4.5, 6, 8, 10, 13, 16];
const TURNS = [0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 7, -7, 8];

/**
 * @typedef {number[]} Box left, top, right, bottom
 * @typedef {object} Name
 * @property {number} at which of the places it is the name of
 * @property {number} x
 * @property {number} y its centre
 * @property {number[] | null} leader where the line from its place ends at it; null where it covers its place
 */

/**
 * @param {number[][]} places x and y of what is named, most important first
 * @param {number[]} widths of the names
 * @param {number} size of the letters
 * @param {number[]} extent width and height of the picture, which no name leaves
 * @returns {Name[]}
 */
export function placeNames(places, widths, size, [width, height]) {
  /** @type {Name[]} */
  const placed = [];
  /** @type {Box[]} */
  const boxes = [];
  /** @type {Box[]} */
  const lines = [];
  places.forEach(([x, y], at) => {
    if (x < 0 || y < 0 || x > width || y > height) return;
    const [half, up] = [widths[at] / 2 + AROUND * size, (TALL / 2) * size];
    for (const [dx, dy] of candidates(half, up, size)) {
      const box = [x + dx - half, y + dy - up, x + dx + half, y + dy + up];
      if (box[0] < 0 || box[1] < 0 || box[2] > width || box[3] > height) continue;
      const end = [Math.min(Math.max(x, box[0]), box[2]), Math.min(Math.max(y, box[1]), box[3])];
      const line = [x, y, ...end];
      if (boxes.some((other) => overlap(box, other) || crosses(line, other)) || lines.some((other) => crosses(other, box))) continue;
      if (places.some(([px, py], other) => other !== at && box[0] < px && px < box[2] && box[1] < py && py < box[3])) continue;
      boxes.push(box);
      if (dx || dy) lines.push(line);
      placed.push({ at, x: x + dx, y: y + dy, leader: dx || dy ? end : null });
      return;
    }
  });
  return placed;
}

/**
 * @param {number} half
 * @param {number} up
 * @param {number} size
 */
function* candidates(half, up, size) {
  yield [0, 0];
  for (const ring of RINGS)
    for (const turn of TURNS) {
      const angle = (turn * Math.PI) / 8;
      yield [Math.sin(angle) * (half + ring * size), -Math.cos(angle) * (up + ring * size)];
    }
}

/**
 * @param {Box} a
 * @param {Box} b
 */
function overlap(a, b) {
  return a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
}

/**
 * Whether a line from (x, y) to (x, y) has a part within a box (Liang and Barsky 1984).
 * @param {number[]} line
 * @param {Box} box
 */
function crosses([x, y, toX, toY], box) {
  const [dx, dy] = [toX - x, toY - y];
  let [enters, leaves] = [0, 1];
  for (const [step, room] of [[-dx, x - box[0]], [dx, box[2] - x], [-dy, y - box[1]], [dy, box[3] - y]]) {
    if (step === 0) {
      if (room <= 0) return false;
    } else if (step < 0) enters = Math.max(enters, room / step);
    else leaves = Math.min(leaves, room / step);
  }
  return enters < leaves;
}
