// An explorer in a notebook's cell, as a widget of anywidget: the page's own modules, fed over the widget's channel.
// What is painted is asked of the kernel; what is brushed or opened goes back to it as voxels.
// @ts-check

/** @typedef {{get: (name: string) => any, set: (name: string, value: any) => void, save_changes: () => void, on: (event: string, told: (...what: any[]) => void) => void, send: (content: any) => void}} Model */

/** Answers of the kernel to requests of this cell, as `fetch` gives those of a server. */
class Channel {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    this.asked = 0;
    /** @type {Map<number, (response: Response) => void>} */
    this.open = new Map();
    model.on("msg:custom", (/** @type {{id: number, status: number}} */ { id, status }, /** @type {DataView[]} */ buffers) => {
      this.open.get(id)?.(new Response(/** @type {any} */ (buffers[0]), { status }));
      this.open.delete(id);
    });
  }

  /** @param {string} path */
  fetch(path) {
    const id = ++this.asked;
    return new Promise((answered) => {
      this.open.set(id, answered);
      this.model.send({ id, path: String(path) });
    });
  }
}

/**
 * The page's modules, each as a blob that imports the others' blobs; the one that asks the server asks the kernel.
 * @param {Record<string, string>} sources
 * @param {Channel} channel
 */
function loader(sources, channel) {
  const name = `voxelAtlas${Math.random().toString(36).slice(2)}`;
  Object.assign(globalThis, { [name]: (/** @type {string} */ path) => channel.fetch(path) });
  /** @type {Map<string, string>} */
  const made = new Map();
  const address = (/** @type {string} */ file) => {
    const known = made.get(file);
    if (known) return known;
    let text = sources[file].replace(/(from|import)(\s*)"\.\/([\w-]+\.js)"/g, (_, word, space, other) => `${word}${space}"${address(other)}"`);
    if (file === "server.js") text = `const fetch = globalThis.${name};\n${text}`;
    const blob = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    made.set(file, blob);
    return blob;
  };
  return (/** @type {string} */ file) => import(address(file));
}

/** What the page's state says where nothing was chosen. */
const PLAIN = { metric: "", compare: "", lo: null, hi: null, minz: null, maxq: null, specific: false, significant: false, all: false, opacity: false, band: false };

/** @param {{model: Model, el: HTMLElement}} cell */
async function render({ model, el }) {
  const load = loader(model.get("sources"), new Channel(model));
  const [{ make, draw }, { Flatmap }, { Viewport }, { Brush }, { Tip }, { loadSubject }, { values }, { paintRamp }] = await Promise.all(
    ["dom.js", "flatmap.js", "viewport.js", "brush.js", "tip.js", "subject.js", "shown.js", "legend.js"].map(load),
  );
  const canvas = make("canvas", { tabindex: "0", role: "application", "aria-label": "Flat map of the cortex. Arrow keys move, Enter opens a voxel, plus and minus enlarge." });
  const note = make("div", { class: "tip", hidden: true });
  const stage = make("div", { class: "stage" }, make("div", { class: "lens" }, canvas, draw("svg", { "aria-hidden": "true", preserveAspectRatio: "none" })), note);
  const concept = make("input", { type: "search", value: model.get("concept"), "aria-label": "Concept", placeholder: "a concept: cake, or cake - kitchen" });
  const brushing = make("button", { type: "button", "aria-pressed": "false", title: "Drag over voxels to select them (or hold Shift)" }, "Brush");
  const clear = make("button", { type: "button" }, "Clear");
  const ramp = make("canvas", { width: 256, height: 1, class: "ramp", role: "img", "aria-label": "Colour bar" });
  const said = make("p", { role: "status" });
  // The page's modules speak to people who listen by this element.
  const speaks = document.getElementById("say") ? null : make("div", { id: "say", "aria-live": "polite", class: "unseen" });
  el.classList.add("voxel-atlas");
  el.replaceChildren(make("form", {}, concept, brushing, clear), stage, ramp, said, ...(speaks ? [speaks] : []));

  /** @type {any} */
  let shown = null;
  const chosen = () => new Set(/** @type {number[]} */ (model.get("selected")));
  const brush = new Brush();
  const viewport = new Viewport();
  const tip = new Tip((/** @type {number} */ voxel) => [`voxel ${voxel} `, subject.names(voxel).join(", "), ` ${shown ? shown.text(voxel) : ""}`], note);
  const repaint = (/** @type {Set<number>} */ focus) => shown && flatmap.paint(shown, focus.size ? focus : null);
  const flatmap = new Flatmap(stage, viewport, brush, tip, {
    open: (/** @type {number} */ voxel) => {
      model.set("voxel", voxel);
      model.save_changes();
    },
    brushed: (/** @type {boolean} */ ended) => {
      repaint(brush.voxels);
      if (!ended) return;
      model.set("selected", [...brush.voxels].sort((a, b) => a - b));
      model.save_changes();
    },
    pointed: () => {},
  });
  const subject = await loadSubject(model.get("subject"));
  if (!subject.pixels) {
    said.textContent = "This subject has no flat map.";
    return;
  }
  flatmap.load(subject);
  viewport.settle(subject.pixels);

  let latest = 0;
  const look = async () => {
    const turn = ++latest;
    try {
      const answer = await values({ ...PLAIN, concept: model.get("concept"), model: model.get("model") }, new AbortController().signal);
      if (turn !== latest) return;
      shown = answer.shown;
      const { lo, hi, table } = shown.scale;
      paintRamp(ramp, table);
      const stamp = answer.header.simulated ? "SIMULATED · " : "";
      said.textContent = [`${stamp}${shown.title}: ${shown.unit}, from ${lo.toPrecision(2)} to ${hi.toPrecision(2)}`, shown.leftOut, ...shown.warnings].filter(Boolean).join("; ");
      repaint(chosen());
    } catch (error) {
      if (turn === latest) said.textContent = error instanceof Error ? error.message : String(error);
    }
  };
  el.querySelector("form")?.addEventListener("submit", (event) => event.preventDefault());
  concept.addEventListener("change", () => {
    model.set("concept", concept.value.trim());
    model.save_changes();
  });
  brushing.addEventListener("click", () => {
    flatmap.setBrushing(!flatmap.brushing);
    brushing.setAttribute("aria-pressed", String(flatmap.brushing));
  });
  clear.addEventListener("click", () => {
    brush.set(subject.pixels, []);
    model.set("selected", []);
    model.save_changes();
  });
  model.on("change:concept", () => {
    concept.value = model.get("concept");
    look();
  });
  model.on("change:selected", () => repaint(chosen()));
  model.on("change:voxel", () => flatmap.choose(model.get("voxel")));
  flatmap.choose(model.get("voxel"));
  await look();
}

export default { render };
