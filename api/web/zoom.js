// The buttons that enlarge the flat map and bring its first view back.
// @ts-check
import { find } from "./dom.js";

const STEP = 1.6;
const QUIET_MS = 200;

/**
 * @param {import("./viewport.js").Viewport} viewport
 * @param {() => void} settled the part that is seen has not changed for a moment
 */
export function connectZoom(viewport, settled) {
  const [nearer, farther, reset, whole] = ["in", "out", "reset", "whole"].map((name) => find(`zoom-${name}`, HTMLButtonElement));
  nearer.addEventListener("click", () => viewport.zoom(STEP));
  farther.addEventListener("click", () => viewport.zoom(1 / STEP));
  reset.addEventListener("click", () => viewport.reset());
  whole.addEventListener("click", () => viewport.whole());
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const show = () => {
    reset.disabled = viewport.isHome;
    farther.disabled = whole.disabled = viewport.isWhole;
    whole.hidden = viewport.home.k === 1;
  };
  show();
  viewport.follow(() => {
    show();
    clearTimeout(timer);
    timer = setTimeout(settled, QUIET_MS);
  });
}
