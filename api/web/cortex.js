// The cortex in 3-D, in the same colours and with the same selection as the flat map. Loaded when it is first wanted.
// @ts-check
import { find, say } from "./dom.js";
import { png } from "./files.js";
import { CHOSEN, focused, grey, mixed } from "./paint.js";
import { Trouble, getMesh } from "./server.js";

const THREE_PARTS = "./vendor/three.js";
const GAP_MM = 10;
const FIELD_OF_VIEW = 30;
const STEEPEST = 89;
// As in the still pictures of viz: light from the viewer, and so much from everywhere.
const AMBIENT = 0.42;

/** Named sides: azimuth and elevation of the viewer in degrees (0, 0 is behind), and the hemispheres that are shown. */
export const SIDES = {
  behind: { name: "From behind", azimuth: 0, elevation: 8, shown: [true, true] },
  left: { name: "Left, lateral", azimuth: -90, elevation: 0, shown: [true, true] },
  right: { name: "Right, lateral", azimuth: 90, elevation: 0, shown: [true, true] },
  "left-medial": { name: "Left, medial", azimuth: 90, elevation: 0, shown: [true, false] },
  "right-medial": { name: "Right, medial", azimuth: -90, elevation: 0, shown: [false, true] },
  below: { name: "From below", azimuth: 180, elevation: -STEEPEST, shown: [true, true] },
  above: { name: "From above", azimuth: 0, elevation: STEEPEST, shown: [true, true] },
  front: { name: "From the front", azimuth: 180, elevation: 0, shown: [true, true] },
};
/** @typedef {keyof typeof SIDES} Side */

/**
 * @typedef {object} Listeners
 * @property {(voxel: number) => void} open a voxel was chosen
 * @property {(camera: number[]) => void} turned azimuth, elevation in degrees and distance in percent
 */

export class Cortex {
  /**
   * @param {import("./tip.js").Tip} tip
   * @param {Listeners} listeners
   * @returns {Promise<Cortex>}
   */
  static async create(tip, listeners) {
    /** @type {typeof import("./three-parts.js")} */
    const three = await import(THREE_PARTS).catch(() => {
      throw new Trouble("The 3-D view is not built on this server: see api/web/README.md.", "NOT_BUILT");
    });
    try {
      return new Cortex(three, tip, listeners);
    } catch {
      throw new Trouble("This browser has no WebGL, so it cannot show the cortex in 3-D; the flat map shows the same values.", "NO_WEBGL");
    }
  }

  /**
   * @param {typeof import("./three-parts.js")} three
   * @param {import("./tip.js").Tip} tip
   * @param {Listeners} listeners
   */
  constructor(three, tip, listeners) {
    this.three = three;
    this.canvas = find("solid", HTMLCanvasElement);
    this.tip = tip;
    this.listeners = listeners;
    this.renderer = new three.WebGLRenderer({ canvas: this.canvas, alpha: true, antialias: true });
    // Colours are shown as they are, like in the flat map, and not taken for linear light.
    this.renderer.outputColorSpace = three.LinearSRGBColorSpace;
    this.scene = new three.Scene();
    this.camera = new three.PerspectiveCamera(FIELD_OF_VIEW, 2, 1, 5000);
    this.camera.up.set(0, 0, 1);
    const light = new three.DirectionalLight(0xffffff, Math.PI * (1 - AMBIENT));
    light.position.set(0, 0, 1);
    this.camera.add(light);
    this.scene.add(this.camera, new three.AmbientLight(0xffffff, Math.PI * AMBIENT));
    this.material = new three.MeshLambertMaterial({ vertexColors: true });
    /** @type {import("three").Mesh[]} */
    this.hemispheres = [];
    this.voxelOf = new Int32Array(0);
    this.base = new Uint32Array(0);
    this.colours = new Uint8Array(0);
    this.reach = 100;
    this.place = [0, 8, 100];
    this.loaded = "";
    this.waiting = false;
    this.#listen();
    new ResizeObserver(() => this.#resize()).observe(this.canvas);
  }

  /**
   * @param {import("./subject.js").Subject} subject
   * @param {string} kind
   */
  async load(subject, kind) {
    const path = subject.meshPath(kind);
    if (this.loaded === path) return;
    const { nLeft, points, curvature, voxelOf, faces } = await getMesh(path);
    const { three } = this;
    this.loaded = path;
    this.reach = spread(points, nLeft);
    this.voxelOf = voxelOf;
    this.base = Uint32Array.from(curvature, grey);
    this.colours = new Uint8Array(points.length);
    // Faces of the left hemisphere come first, too.
    let split = 0;
    while (split < faces.length && faces[split] < nLeft) split += 3;
    const position = new three.BufferAttribute(points, 3);
    const colour = new three.BufferAttribute(this.colours, 3, true);
    const whole = new three.BufferGeometry();
    whole.setAttribute("position", position);
    whole.setIndex(new three.BufferAttribute(faces, 1));
    whole.computeVertexNormals();
    const normal = whole.getAttribute("normal");
    this.scene.remove(...this.hemispheres);
    for (const { geometry } of this.hemispheres) geometry.dispose();
    this.hemispheres = [faces.subarray(0, split), faces.subarray(split)].map((corners) => {
      const geometry = new three.BufferGeometry();
      geometry.setAttribute("position", position);
      geometry.setAttribute("color", colour);
      geometry.setAttribute("normal", normal);
      geometry.setIndex(new three.BufferAttribute(corners, 1));
      return new three.Mesh(geometry, this.material);
    });
    this.scene.add(...this.hemispheres);
    this.#resize();
  }

  /**
   * @param {import("./shown.js").Shown} shown
   * @param {Set<number> | null} focus voxels that are not dimmed; null for all
   * @param {number | null} chosen the voxel whose card is open
   */
  paint(shown, focus, chosen) {
    if (!this.hemispheres.length) return;
    const colours = focused(shown, focus);
    const { opacity } = shown;
    const { base, voxelOf, colours: bytes } = this;
    for (let vertex = 0; vertex < voxelOf.length; vertex++) {
      const voxel = voxelOf[vertex];
      let colour = base[vertex];
      if (voxel >= 0 && voxel === chosen) colour = CHOSEN;
      else if (voxel >= 0 && colours[voxel]) colour = opacity ? mixed(colours[voxel], colour, opacity[voxel]) : colours[voxel];
      bytes[3 * vertex] = colour & 255;
      bytes[3 * vertex + 1] = (colour >>> 8) & 255;
      bytes[3 * vertex + 2] = (colour >>> 16) & 255;
    }
    this.hemispheres[0].geometry.getAttribute("color").needsUpdate = true;
    this.#wish();
  }

  /** @param {Side} side */
  look(side) {
    const { azimuth, elevation, shown } = SIDES[side];
    this.hemispheres.forEach((mesh, at) => { mesh.visible = shown[at]; });
    this.turnTo([azimuth, elevation, 100]);
  }

  /** @param {number[]} place azimuth and elevation in degrees, distance in percent */
  turnTo([azimuth, elevation, distance]) {
    this.place = [
      Math.round(((((azimuth + 180) % 360) + 360) % 360) - 180),
      Math.round(Math.max(-STEEPEST, Math.min(STEEPEST, elevation))),
      Math.round(Math.max(20, Math.min(400, distance))),
    ];
    this.#wish();
  }

  /** @returns {Promise<Blob>} what is seen, as a PNG */
  picture() {
    this.#render();
    return png(this.canvas);
  }

  /** Draws once before the next frame, however often it is wished for. */
  #wish() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.#render();
    });
  }

  #render() {
    const [azimuth, elevation] = this.place.map((degrees) => (degrees * Math.PI) / 180);
    const wide = Math.min(1, this.camera.aspect / 1.3);
    const distance = ((this.reach * this.place[2]) / 100 / Math.tan((FIELD_OF_VIEW * Math.PI) / 360)) * (1.05 / wide);
    this.camera.position.set(
      distance * Math.sin(azimuth) * Math.cos(elevation),
      -distance * Math.cos(azimuth) * Math.cos(elevation),
      distance * Math.sin(elevation),
    );
    this.camera.lookAt(0, 0, 0);
    this.renderer.render(this.scene, this.camera);
    performance.mark("painted-3d");
  }

  #resize() {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight) return;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.setSize(clientWidth, clientHeight, false);
    this.camera.aspect = clientWidth / clientHeight;
    this.camera.updateProjectionMatrix();
    this.#wish();
  }

  /**
   * The voxel under a place of the screen; −1 for none.
   * @param {PointerEvent | MouseEvent} event
   */
  #voxelAt(event) {
    const { three } = this;
    const box = this.canvas.getBoundingClientRect();
    const share = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    const ray = new three.Raycaster();
    ray.setFromCamera(new three.Vector2(share[0] * 2 - 1, 1 - share[1] * 2), this.camera);
    for (const mesh of this.hemispheres) {
      // The search tree of a hemisphere takes a third of a second: it is made when the pointer first comes.
      if (!mesh.geometry.boundsTree) {
        mesh.geometry.boundsTree = new three.MeshBVH(mesh.geometry);
        mesh.raycast = three.acceleratedRaycast;
      }
    }
    const [hit] = ray.intersectObjects(this.hemispheres.filter((mesh) => mesh.visible), false);
    if (!hit?.face) return { voxel: -1, share };
    const position = this.hemispheres[0].geometry.getAttribute("position");
    const { a, b, c } = hit.face;
    const near = (/** @type {number} */ vertex) => Math.hypot(position.getX(vertex) - hit.point.x, position.getY(vertex) - hit.point.y, position.getZ(vertex) - hit.point.z);
    const vertex = [a, b, c].reduce((best, other) => (near(other) < near(best) ? other : best));
    return { voxel: this.voxelOf[vertex], share };
  }

  #listen() {
    const { canvas } = this;
    /** @type {{x: number, y: number, moved: boolean} | null} */
    let held = null;
    canvas.addEventListener("pointerdown", (event) => {
      held = { x: event.clientX, y: event.clientY, moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!held) {
        const { voxel, share } = this.#voxelAt(event);
        canvas.style.cursor = voxel >= 0 ? "pointer" : "grab";
        if (voxel >= 0) this.tip.show(voxel, share[0], share[1]);
        else this.tip.hide();
        return;
      }
      const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
      if (!held.moved && Math.hypot(dx, dy) < 4) return;
      held = { x: event.clientX, y: event.clientY, moved: true };
      this.tip.hide();
      const degrees = 200 / canvas.clientHeight;
      this.turnTo([this.place[0] - dx * degrees, this.place[1] + dy * degrees, this.place[2]]);
    });
    canvas.addEventListener("pointerup", (event) => {
      const moved = held?.moved;
      held = null;
      if (moved) {
        this.listeners.turned(this.place);
        return;
      }
      const { voxel } = this.#voxelAt(event);
      if (voxel >= 0) this.listeners.open(voxel);
    });
    canvas.addEventListener("pointercancel", () => { held = null; });
    canvas.addEventListener("pointerleave", () => this.tip.hide());
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.turnTo([this.place[0], this.place[1], this.place[2] * Math.exp(event.deltaY / 800)]);
      this.listeners.turned(this.place);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const moves = /** @type {Record<string, number[]>} */ ({ ArrowLeft: [-10, 0, 1], ArrowRight: [10, 0, 1], ArrowUp: [0, 10, 1], ArrowDown: [0, -10, 1], "+": [0, 0, 0.9], "-": [0, 0, 1.1] });
      const move = moves[event.key];
      if (!move) return;
      event.preventDefault();
      this.turnTo([this.place[0] + move[0], this.place[1] + move[1], this.place[2] * move[2]]);
      this.listeners.turned(this.place);
      say(`seen from ${this.place[0]} degrees around, ${this.place[1]} degrees up`);
    });
  }
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
