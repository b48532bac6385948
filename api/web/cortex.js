// The cortex in 3-D, in the same colours and with the same selection as the flat map. Loaded when it is first wanted.
// @ts-check
import { Body } from "./body.js";
import { find, say } from "./dom.js";
import { onWhite } from "./files.js";
import { Fold } from "./fold.js";
import { CHOSEN, focused, grey, mixed } from "./paint.js";
import { Trouble } from "./server.js";
import { Skin } from "./skin.js";
import { SolidNames } from "./solid-names.js";

const THREE_PARTS = "./vendor/three.js";
const FIELD_OF_VIEW = 30;
const STEEPEST = 89;
// As in the still pictures of viz: light from the viewer, and so much from everywhere.
const AMBIENT = 0.42;
const RESTING_MS = 150;
// Pixels of the picture for each of the screen's when it rests, which smooths edges. While it moves speed matters more.
const SHARP = 2;

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
      throw new Trouble("This browser has no WebGL, so it cannot show the cortex in 3-D; the flat map shows the same values where the subject has one.", "NO_WEBGL");
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
    this.renderer = new three.WebGLRenderer({ canvas: this.canvas, alpha: true });
    // Colours are shown as they are, like in the flat map, and not taken for linear light.
    this.renderer.outputColorSpace = three.LinearSRGBColorSpace;
    this.scene = new three.Scene();
    this.camera = new three.PerspectiveCamera(FIELD_OF_VIEW, 2, 1, 5000);
    this.camera.up.set(0, 0, 1);
    const light = new three.DirectionalLight(0xffffff, Math.PI * (1 - AMBIENT));
    light.position.set(0, 0, 1);
    this.camera.add(light);
    this.scene.add(this.camera, new three.AmbientLight(0xffffff, Math.PI * AMBIENT));
    this.materials = { skin: new three.MeshLambertMaterial({ side: three.DoubleSide }), bare: new three.MeshLambertMaterial({ vertexColors: true, side: three.DoubleSide }) };
    this.names = new SolidNames();
    /** @type {Fold | null} */
    this.fold = null;
    /** @type {Skin | null} */
    this.skin = null;
    /** @type {Body | null} */
    this.body = null;
    /** @type {import("./fold.js").Mesh | null} */
    this.mesh = null;
    /** 0 folded, 1 inflated, 2 flat */
    this.unfolded = -1;
    this.target = -1;
    /** @type {import("./fold.js").Shape[]} */
    this.shapes = [];
    /** @type {Promise<Body> | null} */
    this.quick = null;
    /** What is shown in place of the body while its shape changes. @type {Body | null} */
    this.moving = null;
    this.reach = 100;
    this.place = [0, 8, 100];
    this.shownSides = [true, true];
    this.waiting = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.resting = undefined;
    this.#listen();
    new ResizeObserver(() => this.#resize()).observe(this.canvas);
  }

  /**
   * @param {import("./subject.js").Subject} subject
   * @param {string[]} kinds surfaces that are taken for the folded and the inflated one
   * @param {number} unfolded 0 folded, 1 inflated, 2 flat
   */
  async load(subject, kinds, unfolded) {
    const fold = this.fold?.subject === subject ? this.fold : new Fold(subject);
    fold.kinds = kinds;
    const { shapes, share } = await fold.around(unfolded);
    if (this.fold !== fold) await this.#begin(fold, unfolded);
    else if (this.unfolded === unfolded && shapes.every((shape, at) => shape === this.shapes[at])) return;
    this.#shape(unfolded, shapes, share);
    this.#resize();
  }

  /**
   * Changes the shape, as fast as the screen does: while it moves, fewer vertices are shown.
   * @param {number} unfolded 0 folded, 1 inflated, 2 flat
   */
  async bend(unfolded) {
    const { fold } = this;
    if (!fold) return;
    this.target = unfolded;
    this.quick ??= this.#prepare(fold).catch((error) => {
      this.quick = null;
      throw error;
    });
    const [quick, { shapes, share }] = await Promise.all([this.quick, fold.around(unfolded)]);
    if (this.target !== unfolded || this.fold !== fold) return;
    this.moving = quick;
    this.#shape(unfolded, shapes, share);
  }

  /**
   * @param {import("./shown.js").Shown} shown
   * @param {Set<number> | null} focus voxels that are not dimmed; null for all
   * @param {number | null} chosen the voxel whose card is open
   */
  paint(shown, focus, chosen) {
    const { mesh, body, skin } = this;
    if (!mesh || !body) return;
    skin?.paint(shown, focus, chosen);
    if (this.materials.skin.map) this.materials.skin.map.needsUpdate = true;
    // What the flat map leaves out, and all of a cortex that has none.
    const colours = focused(shown, focus);
    const { opacity } = shown;
    const { voxelOf, curvature } = mesh;
    for (let vertex = 0; vertex < voxelOf.length; vertex++) {
      const voxel = voxelOf[vertex];
      let colour = grey(curvature[vertex]);
      if (voxel >= 0 && voxel === chosen) colour = CHOSEN;
      else if (voxel >= 0 && colours[voxel]) colour = opacity ? mixed(colours[voxel], colour, opacity[voxel]) : colours[voxel];
      body.colours.set([colour & 255, (colour >>> 8) & 255, (colour >>> 16) & 255], 3 * vertex);
    }
    body.colour.needsUpdate = true;
    // Whoever bends it is told where there is none.
    this.quick?.then((quick) => quick.copy(body.colours), () => {});
    this.#wish();
  }

  /** @param {Side} side */
  look(side) {
    const { azimuth, elevation, shown } = SIDES[side];
    this.shownSides = shown;
    this.#show();
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

  /** What is seen, on white, and where the names of regions belong to. */
  picture() {
    if (this.moving) this.#settle();
    this.#render(SHARP);
    const { clientWidth: width, clientHeight: height } = this.canvas;
    return { image: onWhite(this.canvas), width, height, anchors: this.names.seen(this.#seen()) };
  }

  /**
   * @param {Fold} fold
   * @param {number} unfolded
   */
  async #begin(fold, unfolded) {
    const { three } = this;
    const mesh = await fold.mesh(Math.min(1, Math.round(unfolded)));
    for (const old of [this.body, await this.quick]) {
      this.scene.remove(...(old?.meshes ?? []));
      old?.dispose();
    }
    this.quick = this.moving = null;
    this.fold = fold;
    this.mesh = mesh;
    this.skin = fold.subject.pixels ? new Skin(fold.subject) : null;
    this.materials.skin.map?.dispose();
    this.materials.skin.map = this.skin && skinTexture(three, this.skin.canvas);
    this.materials.skin.needsUpdate = true;
    const vertices = Uint32Array.from({ length: mesh.voxelOf.length }, (_, vertex) => vertex);
    this.body = new Body(three, this.materials, { vertices, faces: mesh.faces }, mesh.places);
    this.scene.add(...this.body.meshes);
    this.names.load(fold.subject.regions, mesh);
  }

  /** @param {Fold} fold */
  async #prepare(fold) {
    const { body, mesh } = this;
    await Promise.all([0, 1].map((at) => fold.shape(at)));
    const quick = new Body(this.three, this.materials, await fold.fewer(this.three.MeshoptSimplifier), /** @type {import("./fold.js").Mesh} */ (mesh).places);
    quick.copy(/** @type {Body} */ (body).colours);
    quick.show([false, false]);
    this.scene.add(...quick.meshes);
    return quick;
  }

  /**
   * @param {number} unfolded
   * @param {import("./fold.js").Shape[]} shapes
   * @param {number} share
   */
  #shape(unfolded, shapes, share) {
    const { body, moving } = this;
    this.unfolded = unfolded;
    this.shapes = shapes;
    this.reach = shapes[0].reach + (shapes.length > 1 ? (shapes[1].reach - shapes[0].reach) * share : 0);
    (moving ?? body)?.take(shapes, share, Boolean(moving));
    this.#show();
    this.#wish();
  }

  /** A medial side is seen without the other hemisphere, unless the cortex is being laid flat. */
  #show() {
    const hemispheres = this.unfolded > 1 ? [true, true] : this.shownSides;
    for (const one of this.scene.children) if ("isMesh" in one) one.visible = false;
    (this.moving ?? this.body)?.show(hemispheres, this.unfolded <= 1);
  }

  /** Draws once before the next frame, however often it is wished for. */
  #wish() {
    clearTimeout(this.resting);
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.#render(Math.min(devicePixelRatio, SHARP));
      this.names.hide();
      this.resting = setTimeout(() => this.#rest(), RESTING_MS);
    });
  }

  /** @param {number} ratio pixels of the picture for each of the screen's */
  #render(ratio) {
    if (this.renderer.getPixelRatio() !== ratio) this.renderer.setPixelRatio(ratio);
    // What is flat is seen from in front.
    const upright = Math.min(1, 2 - this.unfolded);
    const [azimuth, elevation] = this.place.map((degrees) => (degrees * upright * Math.PI) / 180);
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

  /** Nothing has moved for a moment: the whole mesh takes the shape, and names find their room. */
  #rest() {
    const { body, canvas } = this;
    if (!body || !canvas.clientWidth) return;
    if (this.moving) return this.#settle();
    this.#render(SHARP);
    this.names.arrange(canvas.clientWidth, canvas.clientHeight, this.#seen());
    performance.mark("named-3d");
  }

  /** The whole mesh takes the shape of what moved. */
  #settle() {
    this.moving = null;
    this.#shape(this.unfolded, this.shapes, this.unfolded % 1);
  }

  /** @returns {(vertex: number) => number[] | null} where on the screen a vertex is seen; null for hidden */
  #seen() {
    const { camera, canvas, three } = this;
    const body = /** @type {Body} */ (this.body);
    const ray = new three.Raycaster();
    ray.firstHitOnly = true;
    const at = new three.Vector3();
    return (vertex) => {
      at.fromArray(body.points, 3 * vertex);
      const toward = at.clone().sub(camera.position);
      const far = toward.length();
      ray.set(camera.position, toward.normalize());
      const hit = body.hit(ray);
      if (!hit || hit.distance < far - this.reach / 50) return null;
      at.project(camera);
      return [((at.x + 1) / 2) * canvas.clientWidth, ((1 - at.y) / 2) * canvas.clientHeight];
    };
  }

  #resize() {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight) return;
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
    const { three, body, mesh } = this;
    const box = this.canvas.getBoundingClientRect();
    const share = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    const ray = new three.Raycaster();
    ray.firstHitOnly = true;
    ray.setFromCamera(new three.Vector2(share[0] * 2 - 1, 1 - share[1] * 2), this.camera);
    const hit = this.moving ? undefined : body?.hit(ray);
    if (!body || !mesh || !hit?.face) return { voxel: -1, share };
    // Where the flat map is its skin, the flat map says it.
    if (this.skin && hit.uv && hit.object instanceof three.Mesh && hit.object.material === this.materials.skin) return { voxel: this.skin.voxelAt(hit.uv.x, hit.uv.y), share };
    const { a, b, c } = hit.face;
    const near = (/** @type {number} */ vertex) => Math.hypot(body.points[3 * vertex] - hit.point.x, body.points[3 * vertex + 1] - hit.point.y, body.points[3 * vertex + 2] - hit.point.z);
    const vertex = [a, b, c].reduce((best, other) => (near(other) < near(best) ? other : best));
    return { voxel: mesh.voxelOf[vertex], share };
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
 * @param {typeof import("./three-parts.js")} three
 * @param {HTMLCanvasElement} canvas
 */
function skinTexture(three, canvas) {
  const texture = new three.CanvasTexture(canvas);
  texture.flipY = false;
  texture.generateMipmaps = false;
  texture.magFilter = three.NearestFilter;
  texture.minFilter = three.LinearFilter;
  return texture;
}
