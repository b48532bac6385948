// Names of regions over the cortex in 3-D: of those that are seen, and never over each other.
// @ts-check
import { draw } from "./dom.js";
import { placeNames } from "./names.js";
import { LEAST_WIDTH, letterSize, widths } from "./outlines.js";

/**
 * @typedef {object} Anchor
 * @property {string} name
 * @property {boolean} empty whether the atlas holds no voxel of the region
 * @property {number} vertex
 * @property {number} em its width in letters' sizes
 */

export class SolidNames {
  constructor() {
    this.svg = /** @type {SVGSVGElement} */ (/** @type {unknown} */ (document.getElementById("solid-names")));
    /** @type {Anchor[]} */
    this.anchors = [];
  }

  /**
   * @param {import("./subject.js").Region[]} regions
   * @param {import("./fold.js").Mesh} mesh
   */
  load(regions, mesh) {
    const places = mesh.places.length ? onFlat(regions, mesh) : inMiddles(regions, mesh);
    places.sort((a, b) => Number(a.empty) - Number(b.empty) || a.rank - b.rank);
    const ems = widths(places.map(({ name }) => name));
    this.anchors = places.map((place, at) => ({ ...place, em: ems[at] }));
    this.hide();
  }

  hide() {
    this.svg.replaceChildren();
  }

  /** @param {(vertex: number) => number[] | null} see where a vertex is seen; null for hidden */
  seen(see) {
    return this.anchors.flatMap((anchor) => {
      const place = see(anchor.vertex);
      return place ? [{ ...anchor, place }] : [];
    });
  }

  /**
   * @param {number} width
   * @param {number} height
   * @param {(vertex: number) => number[] | null} see where a vertex is seen; null for hidden
   */
  arrange(width, height, see) {
    const size = letterSize(width);
    const seen = this.seen(see).filter(({ empty }) => !empty || width >= LEAST_WIDTH);
    const placed = placeNames(seen.map(({ place }) => place), seen.map(({ em }) => em * size), size, [width, height]);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.style.setProperty("--name-size", `${size}px`);
    const d = placed.map(({ at, leader }) => (leader ? `M${seen[at].place.join(" ")}L${leader.join(" ")}` : "")).join("");
    this.svg.replaceChildren(
      draw("path", { class: "leader halo", d }),
      draw("path", { class: "leader", d }),
      ...placed.map(({ at, x, y }) => draw("text", { x, y, class: seen[at].empty ? "empty" : "" }, seen[at].name)),
    );
  }
}

/**
 * The vertices that lie nearest to where the flat map has the names.
 * @param {import("./subject.js").Region[]} regions
 * @param {import("./fold.js").Mesh} mesh
 */
function onFlat(regions, { places, faces, flatMm: [width, height] }) {
  const there = new Uint8Array(places.length / 2);
  for (const part of [faces[0], faces[2]]) for (const vertex of part) there[vertex] = 1;
  return regions.flatMap(({ name, names, voxels }) =>
    names.map(([x, y, rank]) => {
      let [vertex, least] = [0, Infinity];
      for (let at = 0; at < there.length; at++) {
        if (!there[at]) continue;
        const far = ((places[2 * at] - x) * width) ** 2 + ((places[2 * at + 1] - y) * height) ** 2;
        if (far < least) [vertex, least] = [at, far];
      }
      return { name, vertex, rank, empty: !voxels.length };
    }),
  );
}

/**
 * Without a flat map: in each hemisphere the vertex of a region that is nearest to its middle.
 * @param {import("./subject.js").Region[]} regions
 * @param {import("./fold.js").Mesh} mesh
 */
function inMiddles(regions, { points, voxelOf, nLeft }) {
  const vertices = Array.from(voxelOf, (_, vertex) => vertex);
  return regions.flatMap(({ name, voxels }, rank) => {
    const own = new Set(voxels);
    const all = vertices.filter((vertex) => own.has(voxelOf[vertex]));
    return [all.filter((vertex) => vertex < nLeft), all.filter((vertex) => vertex >= nLeft)].flatMap((part) => {
      if (!part.length) return [];
      const middle = [0, 1, 2].map((axis) => part.reduce((sum, vertex) => sum + points[3 * vertex + axis], 0) / part.length);
      const far = (/** @type {number} */ vertex) => Math.hypot(...middle.map((place, axis) => points[3 * vertex + axis] - place));
      return [{ name, vertex: part.reduce((best, vertex) => (far(vertex) < far(best) ? vertex : best)), rank, empty: false }];
    });
  });
}
