// GraphiQL, its explorer plug-in and the example queries, bundled by build.mjs into vendor/graphiql.js.
import { explorerPlugin } from "@graphiql/plugin-explorer";
import "@graphiql/plugin-explorer/dist/style.css";
import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import "graphiql/graphiql.css";
import { createClient } from "graphql-ws";
import { createElement } from "react";
import { createRoot } from "react-dom/client";

const EXAMPLES = [
  `# Voxel Atlas. Run a query with Ctrl-Enter; the other tabs hold more examples.
query MostSimilarVoxels {
  similarVoxels(concept: "cake", first: 20) {
    modelId simulated by readout totalCount
    pageInfo { hasNextPage endCursor }
    edges { node { voxel similarity rois r2 labels(first: 5) { text probability } } }
  }
}
`,
  `# What the atlas holds.
query Contents {
  atlas { format generation simulated }
  subjects { subjectId simulated nVoxels description }
  models { modelId backbone nVoxels nSignificant }
  rois { name nVoxels topLabels(first: 5) { text nVoxels share } }
}
`,
  `# One voxel: its labels by every method, its best images and its nearest neighbours.
query VoxelCard {
  voxel(index: 0) {
    voxel rois r2 noiseCeiling significant
    labels(first: 5) { text probability rank method }
    topImages(first: 3) { rank response caption box }
    neighbours(first: 5) { voxel similarity rois }
  }
}
`,
  `# A picture to use elsewhere; the address never changes its content.
query Picture {
  flatmap(concept: "cake - kitchen", width: 1600) { url width height unit lo hi }
}
`,
  `# Follows an ingest while it runs.
subscription Progress {
  ingestProgress { generation stages { stage batches rows lastCommit } }
}
`,
];

const here = new URL("graphql", location.href);
const socket = new URL(here);
socket.protocol = here.protocol === "https:" ? "wss:" : "ws:";

const fetcher = createGraphiQLFetcher({ url: here.href, wsClient: createClient({ url: socket.href }) });
const plugins = [explorerPlugin({ showAttribution: false })];
const tabs = EXAMPLES.map((query) => ({ query }));

const place = /** @type {HTMLElement} */ (document.getElementById("graphiql"));
place.textContent = "";
createRoot(place).render(createElement(GraphiQL, { fetcher, plugins, defaultTabs: tabs, shouldPersistHeaders: false }));
