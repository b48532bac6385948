// Pointer, wheel and pinch over a map, as what a person means: look, tap, brush, pan, zoom. Places are shares of the element.
// @ts-check

const STILL_PX = 4;

/**
 * @typedef {{x: number, y: number}} Share
 * @typedef {object} Meant
 * @property {(place: Share) => void} look
 * @property {() => void} leave
 * @property {(place: Share) => void} tap
 * @property {(event: PointerEvent) => boolean} brushes whether dragging would brush
 * @property {(place: Share, first: boolean) => void} brush
 * @property {() => void} brushed the stroke is over
 * @property {(dx: number, dy: number) => void} pan
 * @property {(factor: number, place: Share) => boolean} zoom whether it changed anything
 */

/**
 * @param {HTMLElement} element
 * @param {Meant} meant
 */
export function listen(element, meant) {
  /** @type {Map<number, {x: number, y: number}>} */
  const held = new Map();
  /** @type {"" | "tap" | "brush" | "move"} */
  let doing = "";
  const share = (/** @type {{clientX: number, clientY: number}} */ { clientX, clientY }) => {
    const box = element.getBoundingClientRect();
    return { x: (clientX - box.left) / box.width, y: (clientY - box.top) / box.height };
  };
  const end = (/** @type {PointerEvent} */ event) => {
    if (!held.delete(event.pointerId)) return;
    if (doing === "brush") meant.brushed();
    // Where the button was let go, and not where the click is said to be: clicks come rounded to whole pixels.
    else if (doing === "tap" && event.type === "pointerup") meant.tap(share(event));
    if (!held.size) doing = "";
  };
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    held.set(event.pointerId, { x: event.clientX, y: event.clientY });
    element.setPointerCapture(event.pointerId);
    if (doing === "brush") meant.brushed();
    doing = held.size > 1 ? "move" : meant.brushes(event) ? "brush" : "tap";
    if (doing === "brush") meant.brush(share(event), true);
  });
  element.addEventListener("pointermove", (event) => {
    const last = held.get(event.pointerId);
    if (!last || doing === "brush") {
      if (doing === "brush") meant.brush(share(event), false);
      meant.look(share(event));
      return;
    }
    const [dx, dy] = [event.clientX - last.x, event.clientY - last.y];
    if (doing === "tap" && Math.hypot(dx, dy) < STILL_PX) return;
    doing = "move";
    meant.leave();
    const box = element.getBoundingClientRect();
    const before = [...held.values()];
    held.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const after = [...held.values()];
    const [was, is] = [before, after].map((fingers) => ({
      x: fingers.reduce((sum, one) => sum + one.x, 0) / fingers.length,
      y: fingers.reduce((sum, one) => sum + one.y, 0) / fingers.length,
      apart: fingers.length > 1 ? Math.hypot(fingers[0].x - fingers[1].x, fingers[0].y - fingers[1].y) : 1,
    }));
    meant.pan((was.x - is.x) / box.width, (was.y - is.y) / box.height);
    if (after.length > 1 && was.apart > 0) meant.zoom(is.apart / was.apart, share({ clientX: is.x, clientY: is.y }));
  });
  element.addEventListener("pointerup", end);
  element.addEventListener("pointercancel", end);
  element.addEventListener("pointerleave", () => meant.leave());
  element.addEventListener("blur", () => meant.leave());
  element.addEventListener("wheel", (event) => {
    // A wheel tells lines in some browsers; a pinch on a touchpad comes as a wheel with the control key.
    const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 24 : 1);
    // At the whole map the wheel scrolls the page on.
    if (meant.zoom(Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.002)), share(event)) || event.ctrlKey) event.preventDefault();
  }, { passive: false });
}
