// Files of what is shown: pictures, the numbers, and the questions that gave them.
// @ts-check
import { find, say } from "./dom.js";
import { TOP, variables } from "./ranking.js";
import { Trouble, ask } from "./server.js";
import { asked, metricOf } from "./shown.js";

/**
 * @typedef {object} Sources
 * @property {import("./state.js").State} state
 * @property {() => import("./shown.js").Shown | null} shown
 * @property {() => import("./subject.js").Subject | null} subject
 * @property {() => import("./shown.js").TopLabels | null} labels
 * @property {() => Set<number> | null} focus
 * @property {() => Promise<Blob> | null} solid a picture of the 3-D view, while it is seen
 */

const WIDTH = 2048;

/**
 * @param {Sources} sources
 * @param {(error: unknown) => void} report
 */
export function connectDownloads(sources, report) {
  const menu = find("download", HTMLDetailsElement);
  /** @type {Record<string, () => Promise<Blob> | Blob>} */
  const makers = {
    png: () => sources.solid() ?? picture(sources, "PNG"),
    svg: () => picture(sources, "SVG"),
    csv: () => new Blob([csv(sources)], { type: "text/csv" }),
    graphql: () => new Blob([graphql(sources)], { type: "application/graphql" }),
    sql: () => new Blob([sql(sources.state)], { type: "application/sql" }),
  };
  for (const [suffix, make] of Object.entries(makers))
    find(`download-${suffix}`, HTMLButtonElement).addEventListener("click", async () => {
      menu.open = false;
      try {
        save(await make(), `${fileName(sources.state)}.${suffix}`);
        say(`${suffix} file made`);
      } catch (error) {
        report(error);
      }
    });
}

/**
 * The query behind the picture, in the range that the page shows.
 * @param {Sources} sources
 * @param {string} format
 */
function pictureQuery({ state, shown }, format) {
  const metric = metricOf(state);
  const model = state.model ? [`model: ${quoted(state.model)}`] : [];
  if (metric === "labels") return `{ labelColours(${[...model, `width: ${WIDTH}`].join(", ")}) { url trustworthiness legend { text colour nVoxels } } }`;
  const { by, readout } = asked(state);
  const scale = shown()?.scale;
  const parts = [
    metric ? `metric: ${metric.toUpperCase()}` : `concept: ${quoted(state.concept)}`,
    ...model,
    ...(by ? [`by: ${by.toUpperCase()}`] : []),
    ...(readout ? [`readout: ${readout.toUpperCase()}`] : []),
    ...(state.significant ? ["significant: true"] : []),
    ...(state.opacity ? ["opacity: R2"] : []),
    ...(scale ? [`range: [${scale.lo}, ${scale.hi}]`] : []),
    `width: ${WIDTH}`,
    `format: ${format}`,
  ];
  return `{ flatmap(${parts.join(", ")}) { url title unit lo hi simulated } }`;
}

/**
 * @param {Sources} sources
 * @param {string} format
 */
async function picture(sources, format) {
  if (metricOf(sources.state) === "labels" && format !== "PNG") throw new Trouble("Maps of label colours are png pictures; download the PNG.", "BAD_INPUT");
  const data = await ask(pictureQuery(sources, format));
  const response = await fetch((data.flatmap ?? data.labelColours).url);
  if (!response.ok) throw new Trouble(`The server answered ${response.status} when it was asked for the picture.`, "FAILED");
  return response.blob();
}

/**
 * One line per voxel that has a colour.
 * @param {Sources} sources
 */
function csv({ shown, subject, labels, focus }) {
  const map = shown();
  if (!map) return "";
  const chosen = focus();
  const lines = ["voxel,value,regions,first_label,selected"];
  map.colours.forEach((colour, voxel) => {
    if (!colour) return;
    const cells = [voxel, map.values ? map.values[voxel] : "", (subject()?.names(voxel) ?? []).join(";"), labels()?.text(voxel) ?? "", chosen ? chosen.has(voxel) : ""];
    lines.push(cells.map(cell).join(","));
  });
  return `${lines.join("\r\n")}\r\n`;
}

/** @param {unknown} value */
function cell(value) {
  const text = String(value);
  // A spreadsheet would take a label that begins so for a formula.
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** @param {Sources} sources */
function graphql(sources) {
  const { state } = sources;
  const ranked = state.concept ? `${TOP}\n\n# Variables: ${JSON.stringify(variables(state))}\n\n` : "";
  return `${ranked}# The picture; fetch its url from the same server.\nquery Picture ${pictureQuery(sources, "PNG")}\n`;
}

/** @param {import("./state.js").State} state */
function sql(state) {
  const metric = metricOf(state);
  const model = literal(state.model);
  if (metric === "labels") return `SELECT voxel, label, probability FROM top_label WHERE model_id = ${model} ORDER BY voxel;\n`;
  if (metric) return `SELECT voxel, ${metric}, q FROM voxel_quality WHERE model_id = ${model} ORDER BY voxel;\n`;
  const note = "-- Cosine with the ridge weights. The page uses the model's own readout, unless `weights` is chosen there.\n-- SQL knows the words that are labels: FROM label lists them.\n";
  const words = state.concept.split(/\s([+-])\s/).map((word) => word.trim());
  if (words.length === 1) return `${note}FROM voxels_like(${literal(words[0])}, model := ${model});\n`;
  const map = (/** @type {string} */ word) => `concept_map(${literal(word)}, model := ${model})`;
  // The cosine with a difference of unit vectors is the difference of the cosines, but for one factor for all voxels.
  const terms = words.filter((_, at) => at % 2 === 0);
  const sum = terms.map((_, at) => `${at ? `${words[2 * at - 1]} ` : ""}t${at}.similarity`).join(" ");
  const joins = terms.map((word, at) => `${at ? "  JOIN " : ""}${map(word)} t${at}${at ? " USING (model_id, voxel)" : ""}`).join("\n");
  return `${note}SELECT voxel, ${sum} AS contrast\nFROM ${joins}\nORDER BY contrast DESC;\n`;
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** @param {import("./state.js").State} state */
function fileName(state) {
  const what = metricOf(state) || state.concept;
  return `${state.model} ${what}`.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 80) || "voxel-atlas";
}

/** @param {string} text a GraphQL string */
function quoted(text) {
  return JSON.stringify(text);
}

/** @param {string} text an SQL string */
function literal(text) {
  return `'${text.replaceAll("'", "''")}'`;
}
