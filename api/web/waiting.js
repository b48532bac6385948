// What a person is told while something takes long: what it is, and for how long it has been going on.
// @ts-check
import { find, say } from "./dom.js";

const PATIENCE_MS = 500;
const SLOW_S = 4;

export class Waiting {
  constructor() {
    this.place = find("waiting", HTMLElement);
    this.sentence = "";
    this.began = 0;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.timer = undefined;
  }

  /** @param {string} sentence what is waited for */
  begin(sentence) {
    this.end();
    this.sentence = sentence;
    this.began = performance.now();
    this.timer = setInterval(() => this.#show(), PATIENCE_MS);
  }

  /** @param {string} sentence what is waited for now, or how far it is */
  tell(sentence) {
    this.sentence = sentence;
    say(sentence);
    this.#show();
  }

  end() {
    clearInterval(this.timer);
    this.place.hidden = true;
  }

  #show() {
    const seconds = Math.round((performance.now() - this.began) / 1000);
    this.place.hidden = false;
    this.place.textContent = this.sentence + (seconds >= SLOW_S ? ` (${seconds} s)` : "");
  }
}
