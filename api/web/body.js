// Some vertices of a cortex as three.js draws them: the part with the flat map as its skin, and the rest in plain colours.
// @ts-check
import { blend } from "./fold.js";

export class Body {
  /**
   * @param {typeof import("./three-parts.js")} three
   * @param {{skin: import("three").Material, bare: import("three").Material}} materials
   * @param {import("./fold.js").Part} part faces of the left hemisphere in the flat map, its others, the same of the right one
   * @param {Float32Array} places of all vertices in the flat map
   */
  constructor(three, { skin, bare }, { vertices, faces }, places) {
    this.three = three;
    this.vertices = vertices;
    const n = vertices.length;
    this.points = new Float32Array(3 * n);
    this.colours = new Uint8Array(3 * n);
    this.position = new three.BufferAttribute(this.points, 3);
    this.colour = new three.BufferAttribute(this.colours, 3, true);
    this.whole = new three.BufferGeometry();
    this.whole.setAttribute("position", this.position);
    this.whole.setIndex(new three.BufferAttribute(joined(faces), 1));
    this.normal = new three.BufferAttribute(new Float32Array(3 * n), 3);
    this.whole.setAttribute("normal", this.normal);
    const uv = places.length ? new three.BufferAttribute(Float32Array.from({ length: 2 * n }, (_, at) => places[2 * vertices[at >> 1] + (at & 1)]), 2) : null;
    this.meshes = faces.map((corners, at) => {
      const geometry = new three.BufferGeometry();
      geometry.setAttribute("position", this.position);
      geometry.setAttribute("normal", this.normal);
      geometry.setAttribute("color", this.colour);
      if (uv) geometry.setAttribute("uv", uv);
      geometry.setIndex(new three.BufferAttribute(corners, 1));
      const mesh = new three.Mesh(geometry, at % 2 ? bare : skin);
      // Its shape changes, and most of it is always seen.
      mesh.frustumCulled = false;
      return mesh;
    });
    /** @type {Map<import("./fold.js").Shape, {points: Float32Array, normals: Float32Array}>} */
    this.poses = new Map();
  }

  /**
   * Takes a shape between two.
   * @param {import("./fold.js").Shape[]} shapes of all vertices
   * @param {number} share of the second
   * @param {boolean} quick whether normals are blended, too, instead of worked out
   */
  take(shapes, share, quick) {
    if (quick) {
      const poses = shapes.map((shape) => this.#pose(shape));
      blend(poses.map(({ points }) => points), share, this.points);
      blend(poses.map(({ normals }) => normals), share, /** @type {Float32Array} */ (this.normal.array));
    } else {
      blend(shapes.map(({ points }) => points), share, this.points);
      this.whole.computeVertexNormals();
    }
    this.position.needsUpdate = this.normal.needsUpdate = true;
    for (const { geometry } of this.meshes) geometry.boundsTree?.refit();
  }

  /**
   * @param {boolean[]} hemispheres
   * @param {boolean} [bare] whether also what the flat map leaves out
   */
  show([left, right], bare = true) {
    this.meshes.forEach((mesh, at) => { mesh.visible = (at < 2 ? left : right) && (bare || at % 2 === 0); });
  }

  /** @param {Uint8Array} colours of all vertices */
  copy(colours) {
    this.vertices.forEach((vertex, at) => {
      for (let part = 0; part < 3; part++) this.colours[3 * at + part] = colours[3 * vertex + part];
    });
    this.colour.needsUpdate = true;
  }

  /**
   * @param {import("three").Raycaster} ray
   * @returns {import("three").Intersection | undefined} the nearest place of what is visible
   */
  hit(ray) {
    const { three } = this;
    for (const mesh of this.meshes) {
      // The search tree of a hemisphere takes a third of a second: it is made when it is first needed.
      if (!mesh.geometry.boundsTree && mesh.geometry.index?.count) {
        mesh.geometry.boundsTree = new three.MeshBVH(mesh.geometry);
        mesh.raycast = three.acceleratedRaycast;
      }
    }
    return ray.intersectObjects(this.meshes.filter((mesh) => mesh.visible && mesh.geometry.boundsTree), false)[0];
  }

  dispose() {
    for (const { geometry } of this.meshes) geometry.dispose();
    this.whole.dispose();
  }

  /** @param {import("./fold.js").Shape} shape */
  #pose(shape) {
    const known = this.poses.get(shape);
    if (known) return known;
    const points = Float32Array.from(this.points, (_, at) => shape.points[3 * this.vertices[Math.floor(at / 3)] + (at % 3)]);
    this.points.set(points);
    this.whole.computeVertexNormals();
    const pose = { points, normals: Float32Array.from(this.normal.array) };
    this.poses.set(shape, pose);
    return pose;
  }
}

/** @param {Uint32Array[]} parts */
function joined(parts) {
  const all = new Uint32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
