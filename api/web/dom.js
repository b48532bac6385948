// Making and finding elements. Text always goes in as text: nothing from the server is ever read as HTML.
// @ts-check

/**
 * An element of the page that must be there.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function find(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`The page has no ${kind.name} #${id}`);
  return found;
}

/** @typedef {Node | string | number | null | undefined} Child */

/**
 * A new element.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | number | boolean | null | ((event: Event) => void)>} [attributes] functions listen
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, String(value));
  }
  for (const child of children) if (child !== null && child !== undefined) element.append(String(child) === child || typeof child === "number" ? String(child) : child);
  return element;
}

/**
 * A table whose first column says what a row is, and whose others are numbers.
 * @param {string[]} head
 * @param {Child[][]} rows
 */
export function table(head, rows) {
  const columns = head.map((text, at) => make("th", { scope: "col", class: at ? "number" : "" }, text));
  const lines = rows.map(([name, ...numbers]) => make("tr", {}, make("th", { scope: "row", dir: "auto" }, name), ...numbers.map((text) => make("td", { class: "number" }, text))));
  return make("table", {}, make("thead", {}, make("tr", {}, ...columns)), make("tbody", {}, ...lines));
}

/**
 * A square of a colour, before the name of what has it.
 * @param {string} colour
 */
export function square(colour) {
  const mark = make("span", { class: "square", "aria-hidden": "true" });
  mark.style.background = colour;
  return mark;
}

/**
 * A new SVG element.
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {...(Node | string)} children
 */
export function draw(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/**
 * A number with so many decimals and a true minus sign; a dash where there is none.
 * @param {number | null | undefined} value
 * @param {number} [decimals]
 */
export function figure(value, decimals = 2) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return value.toFixed(decimals).replace("-", "−");
}

/**
 * What is typed into a field for numbers; null for nothing.
 * @param {HTMLInputElement} input
 */
export function typed(input) {
  return input.value.trim() && Number.isFinite(input.valueAsNumber) ? input.valueAsNumber : null;
}

/** @param {number} q a false discovery rate */
export function rate(q) {
  return `q\u00a0${q < 0.0001 ? "" : "=\u00a0"}${plainRate(q)}`;
}

/** @param {number | null} q the same in a column that says so; a dash where there is none */
export function plainRate(q) {
  return q !== null && q < 0.0001 ? "<\u00a00.0001" : figure(q, 4);
}

/**
 * Says something to people who listen to the page.
 * @param {string} text
 */
export function say(text) {
  find("say", HTMLElement).textContent = text;
}
