// The shapes of a cortex, from folded over inflated to flat, and what lies between them.
// @ts-check
import { getMesh } from "./server.js";

const GAP_MM = 10;
// Vertices of what is shown while the shape changes: so few that a screen without a graphics card follows.
const MOST_MOVING = 12_000;
// Width of the view against its height.
const ASPECT = 1.7;

/**
 * @typedef {object} Shape
 * @property {Float32Array} points x, y, z of each vertex in mm, the middle at the origin
 * @property {number} reach how far it reaches from the middle
 *
 * @typedef {Awaited<ReturnType<typeof getMesh>>} Mesh
 * @typedef {{vertices: Uint32Array, faces: Uint32Array[]}} Part some of the vertices, and faces between them
 */

export class Fold {
  /** @param {import("./subject.js").Subject} subject */
  constructor(subject) {
    this.subject = subject;
    /** Surfaces that are taken for the folded and the inflated one. */
    this.kinds = ["", ""];
    /** @type {Map<string, Promise<Mesh & Shape>>} */
    this.meshes = new Map();
    /** @type {Shape | null} */
    this.flat = null;
  }

  /** @param {number} at 0 folded, 1 inflated */
  mesh(at) {
    const kind = this.kinds[at];
    const found = this.meshes.get(kind) ?? getMesh(this.subject.meshPath(kind)).then((mesh) => ({ ...mesh, reach: spread(mesh.points, mesh.nLeft) }));
    this.meshes.set(kind, found);
    found.catch(() => this.meshes.delete(kind));
    return found;
  }

  /**
   * @param {number} at 0 folded, 1 inflated, 2 flat
   * @returns {Promise<Shape>}
   */
  async shape(at) {
    if (at < 2) return this.mesh(at);
    return (this.flat ??= laid(await this.mesh(1)));
  }

  /**
   * The shapes that one between them is a mixture of, and how much of the second.
   * @param {number} unfolded from 0 (folded) to 2 (flat)
   * @returns {Promise<{shapes: Shape[], share: number}>}
   */
  async around(unfolded) {
    const first = Math.floor(unfolded);
    const share = unfolded - first;
    return { shapes: await Promise.all([first, ...(share ? [first + 1] : [])].map((at) => this.shape(at))), share };
  }

  /**
   * Fewer vertices of the mesh with its folds, each where it was.
   * @param {typeof import("./three-parts.js").MeshoptSimplifier} simplifier
   * @returns {Promise<Part>}
   */
  async fewer(simplifier) {
    const [{ points, faces }] = await Promise.all([this.mesh(0), simplifier.ready]);
    const all = points.length / 3;
    for (let wanted = Math.min(1, MOST_MOVING / all); ; wanted *= 0.9) {
      // Borders stay as they are, as the parts meet there.
      const kept = faces.map((part) => (part.length && wanted < 1 ? simplifier.simplify(part, points, 3, 3 * Math.floor((part.length / 3) * wanted), 1, ["LockBorder"])[0] : part));
      const place = new Int32Array(all).fill(-1);
      /** @type {number[]} */
      const vertices = [];
      const renumbered = kept.map((part) => Uint32Array.from(part, (vertex) => (place[vertex] < 0 ? (place[vertex] = vertices.push(vertex) - 1) : place[vertex])));
      if (vertices.length <= MOST_MOVING) return { vertices: Uint32Array.from(vertices), faces: renumbered };
    }
  }
}

/**
 * @param {Float32Array[]} both
 * @param {number} share of the second
 * @param {Float32Array} into
 */
export function blend([one, other], share, into) {
  if (!share) into.set(one);
  else for (let at = 0; at < into.length; at++) into[at] = one[at] + (other[at] - one[at]) * share;
}

/**
 * The flat map, upright as seen from behind.
 * @param {Mesh} mesh
 * @returns {Shape}
 */
function laid({ points, places, flatMm: [width, height] }) {
  const flat = new Float32Array(points.length);
  for (let vertex = 0; 3 * vertex < flat.length; vertex++) {
    flat[3 * vertex] = (places[2 * vertex] - 0.5) * width;
    flat[3 * vertex + 2] = (0.5 - places[2 * vertex + 1]) * height;
  }
  return { points: flat, reach: Math.max(height / 2, width / 2 / ASPECT) };
}

/**
 * Moves the hemispheres apart and their middle to the origin, in place.
 * @param {Float32Array} points
 * @param {number} nLeft vertices of the left hemisphere
 * @returns {number} how far the farthest vertex is from the middle, in mm
 */
function spread(points, nLeft) {
  const low = [Infinity, Infinity, Infinity];
  const high = [-Infinity, -Infinity, -Infinity];
  let [innerLeft, innerRight] = [-Infinity, Infinity];
  for (let at = 0; at < points.length; at++) {
    const axis = at % 3;
    if (axis === 0 && at < 3 * nLeft) innerLeft = Math.max(innerLeft, points[at]);
    else if (axis === 0) innerRight = Math.min(innerRight, points[at]);
    low[axis] = Math.min(low[axis], points[at]);
    high[axis] = Math.max(high[axis], points[at]);
  }
  let reach = 1;
  for (let at = 0; at < points.length; at += 3) {
    points[at] += at < 3 * nLeft ? -innerLeft - GAP_MM / 2 : -innerRight + GAP_MM / 2;
    points[at + 1] -= (low[1] + high[1]) / 2;
    points[at + 2] -= (low[2] + high[2]) / 2;
    reach = Math.max(reach, Math.hypot(points[at], points[at + 1], points[at + 2]));
  }
  return reach;
}
