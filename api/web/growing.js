// What an ingest is told to a page that is open: how far it is, and when there is something new to show.
// @ts-check
import { find } from "./dom.js";
import { subscribe } from "./server.js";

const PROGRESS = "subscription { ingestProgress { generation running stages { stage batches rows } } }";
const REFRESH_MS = 3000;

/**
 * Follows ingests. What they bring is told of, but not more often than a person can look.
 * @param {() => void} grown the atlas has grown
 * @param {(error: unknown) => void} report
 */
export function follow(grown, report) {
  const badge = find("growing", HTMLElement);
  let seen = -1;
  let waiting = false;
  subscribe(PROGRESS, ({ ingestProgress }) => {
    const { generation, running, stages } = ingestProgress;
    const stage = stages.at(-1);
    badge.hidden = !running.length;
    badge.textContent = stage ? `ingest running: ${stage.stage}, ${stage.batches} batches, ${stage.rows.toLocaleString("en")} rows` : "ingest running";
    if (seen >= 0 && generation !== seen && !waiting) {
      waiting = true;
      setTimeout(() => {
        waiting = false;
        grown();
      }, REFRESH_MS);
    }
    seen = generation;
  }, report);
}
