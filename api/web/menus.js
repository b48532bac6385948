// Menus of the tools, which close when they are left, and the link to what is shown.
// @ts-check
import { find, say } from "./dom.js";
import { Trouble } from "./server.js";

const COPIED_MS = 1500;

export function connectMenus() {
  for (const menu of document.querySelectorAll("details.menu")) {
    menu.addEventListener("focusout", (event) => {
      if (event instanceof FocusEvent && event.relatedTarget instanceof Node && !menu.contains(event.relatedTarget)) menu.removeAttribute("open");
    });
    menu.addEventListener("keydown", (event) => {
      if (event instanceof KeyboardEvent && event.key === "Escape") menu.removeAttribute("open");
    });
  }
}

/** @param {(error: unknown) => void} report */
export function connectShare(report) {
  const share = find("share", HTMLButtonElement);
  share.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      say("The link is copied.");
      share.textContent = "Copied";
      setTimeout(() => { share.textContent = "Copy link"; }, COPIED_MS);
    } catch {
      report(new Trouble(`The browser does not let this page copy; the link is ${location.href}`, "CLIPBOARD"));
    }
  });
}
