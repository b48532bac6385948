// A picture as the question: dropped on the page, pasted or chosen; what it is nearest to stands beside the map.
// @ts-check
import { figure, find, make } from "./dom.js";
import { Trouble } from "./server.js";
import { ALL } from "./state.js";

/** Bytes that the server reads of a picture; what is larger is not sent (`picture_bytes` among its limits). */
const MOST_BYTES = 8_388_608;
/** In place of a quantity, while the response to a picture is shown. */
export const PICTURE = "picture";

/** @typedef {{name: string, file: Blob, data: string}} Asked its name, its bytes, and them as a data URL */

export class PictureQuestion {
  /**
   * @param {import("./state.js").State} state
   * @param {{look: () => Promise<boolean>, back: () => void, search: (concept: string) => void, report: (error: unknown) => void}} listeners
   *   `look` shows the state and says whether it could, or something else is asked meanwhile; `back` is told that the state is again as it was
   */
  constructor(state, listeners) {
    this.state = state;
    this.listeners = listeners;
    this.place = find("picture", HTMLElement);
    /** @type {Asked | null} */
    this.asked = null;
    this.#connect();
  }

  #connect() {
    const input = find("picture-file", HTMLInputElement);
    find("picture-choose", HTMLButtonElement).addEventListener("click", () => input.click());
    const take = (/** @type {FileList | null | undefined} */ files) => {
      if (files?.length) this.ask(files[0]).catch(this.listeners.report);
    };
    input.addEventListener("change", () => {
      take(input.files);
      input.value = "";
    });
    const over = (/** @type {boolean} */ on) => document.body.classList.toggle("dropping", on);
    addEventListener("dragover", (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      over(true);
    });
    addEventListener("dragleave", (event) => { if (!event.relatedTarget) over(false); });
    addEventListener("drop", (event) => {
      over(false);
      if (!event.dataTransfer?.files.length) return;
      event.preventDefault();
      take(event.dataTransfer.files);
    });
    addEventListener("paste", (event) => take(event.clipboardData?.files));
  }

  /**
   * Shows what a model predicts for a picture; where that cannot be, all stays as it was.
   * @param {File} file
   */
  async ask(file) {
    const { state } = this;
    if (state.model === ALL) throw new Trouble("A picture is shown to the model of one subject: choose one above, and drop it again.", "NO_MODEL");
    if (file.size > MOST_BYTES) throw new Trouble(`${file.name || "The picture"} has ${figure(file.size / 2 ** 20, 1)} MB, of which ${MOST_BYTES / 2 ** 20} are read; make it smaller.`, "LIMIT_EXCEEDED");
    const { asked } = this;
    const before = { concept: state.concept, metric: state.metric, with: state.with, lo: state.lo, hi: state.hi };
    this.asked = { name: file.name || "pasted picture", file, data: await dataUrl(file) };
    Object.assign(state, { concept: "", metric: PICTURE, with: [], lo: null, hi: null });
    if (await this.listeners.look()) return;
    this.asked = asked;
    Object.assign(state, before);
    this.listeners.back();
  }

  /** Forgets the picture where the state shows something else. */
  settle() {
    if (this.state.metric !== PICTURE) this.asked = null;
    if (!this.asked && this.state.metric === PICTURE) this.state.metric = "";
    if (!this.asked) {
      this.place.hidden = true;
      this.place.replaceChildren();
    }
  }

  /** @param {{concept: string, similarity: number}[]} nearest nouns */
  tell(nearest) {
    if (!this.asked) return;
    const { name, data } = this.asked;
    const close = make("button", { type: "button", class: "quiet", "aria-label": "Take the picture away", click: () => {
      this.state.metric = "";
      this.listeners.look();
    } }, "×");
    const chips = nearest.map(({ concept, similarity }) => make("button", { type: "button", class: "chip", title: `cosine ${figure(similarity)}`, click: () => this.listeners.search(concept) }, concept));
    this.place.replaceChildren(
      make("header", {}, make("div", {}, make("h2", {}, name), make("p", { class: "note" }, "What the model predicts that each voxel answers to it is on the map. The server does not keep it.")), close),
      make("img", { src: data, alt: name }),
      make("h3", {}, "Nearest concepts"),
      chips.length ? make("p", { class: "chips" }, ...chips) : make("p", { class: "note" }, "This model's network has no text tower, so no noun is near."),
    );
    this.place.hidden = false;
  }
}

/** @param {Blob} file @returns {Promise<string>} */
function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(new Trouble("The browser cannot read this file.", "NOT_READ"));
    reader.readAsDataURL(file);
  });
}
