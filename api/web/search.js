// The search box: free text, with the atlas's own labels as suggestions (ARIA's combobox with a list).
// @ts-check
import { find, make } from "./dom.js";
import { SUGGEST } from "./questions.js";
import { ask } from "./server.js";

const PAUSE_MS = 180;

export class Search {
  /**
   * @param {(concept: string) => void} look called when typing pauses or a suggestion is taken
   * @param {() => string} model the model whose labels are suggested
   */
  constructor(look, model) {
    this.input = find("concept", HTMLInputElement);
    this.list = find("suggestions", HTMLUListElement);
    this.look = look;
    this.model = model;
    this.active = -1;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** @type {AbortController | null} */
    this.pending = null;
    this.#listen();
  }

  /** @param {string} concept */
  show(concept) {
    this.input.value = concept;
  }

  #listen() {
    this.input.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => {
        this.look(this.input.value.trim());
        this.#suggest();
      }, PAUSE_MS);
    });
    this.input.addEventListener("keydown", (event) => {
      const options = this.list.children.length;
      if (event.key === "ArrowDown" && options) this.#activate((this.active + 1) % options);
      else if (event.key === "ArrowUp" && options) this.#activate((this.active - 1 + options) % options);
      else if (event.key === "Escape" && !this.list.hidden) this.#close();
      else return;
      event.preventDefault();
    });
    find("search", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(this.timer);
      const option = this.list.children[this.active];
      if (!this.list.hidden && option) this.#take(option.getAttribute("data-text") ?? "");
      else this.#take(this.input.value);
    });
    this.input.addEventListener("blur", () => setTimeout(() => this.#close(), 150));
    addEventListener("keydown", (event) => {
      const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      this.input.focus();
      this.input.select();
    });
  }

  /** @param {string} text */
  #take(text) {
    this.input.value = text;
    this.pending?.abort();
    this.#close();
    this.look(text.trim());
  }

  async #suggest() {
    this.pending?.abort();
    this.pending = new AbortController();
    const { value } = this.input;
    // In "cake - kit", what is being typed is "kit"; what stands before it stays.
    const [, before, search] = /** @type {RegExpMatchArray} */ (value.match(/^(.*\s[+−-]\s+)?(.*)$/s));
    if (!search.trim()) return this.#close();
    try {
      const data = await ask(SUGGEST, { search: search.trim(), model: this.model() || null }, this.pending.signal);
      this.#offer(before ?? "", data.labels.edges);
    } catch {
      // Suggestions are a convenience: the search itself reports what is wrong.
      this.#close();
    }
  }

  /**
   * @param {string} before
   * @param {{node: {text: string, nVoxels: number}}[]} edges
   */
  #offer(before, edges) {
    if (document.activeElement !== this.input || !edges.length) return this.#close();
    this.active = -1;
    this.list.replaceChildren(
      ...edges.map(({ node }, place) =>
        make(
          "li",
          {
            role: "option",
            id: `suggestion-${place}`,
            "aria-selected": "false",
            "data-text": before + node.text,
            mousedown: (event) => {
              event.preventDefault();
              this.#take(before + node.text);
            },
          },
          make("span", {}, node.text),
          make("span", { class: "count" }, `${node.nVoxels} voxels`),
        ),
      ),
    );
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
  }

  /** @param {number} place */
  #activate(place) {
    this.list.children[this.active]?.setAttribute("aria-selected", "false");
    this.active = place;
    this.list.children[place].setAttribute("aria-selected", "true");
    this.input.setAttribute("aria-activedescendant", `suggestion-${place}`);
  }

  #close() {
    this.list.hidden = true;
    this.active = -1;
    this.list.replaceChildren();
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }
}
