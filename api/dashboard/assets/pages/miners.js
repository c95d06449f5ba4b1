// Who is on the subnet.

import { get } from "../api.js";
import { cycleLink, fill, h, minerLink, number, table } from "../dom.js";
import { moment } from "../format.js";
import { TYPES, follow } from "../stream.js";

export async function load(_parameters, signal) {
  const box = h("section", { class: "card" });
  const search = h("input", { type: "search", "data-search": true, placeholder: "uid, hotkey or repository", oninput: () => draw() });
  let miners = [];
  const draw = () => {
    const words = search.value.trim().toLowerCase();
    const found = miners.filter((each) => `${each.uid} ${each.hotkey} ${each.repo ?? ""} ${each.status}`.toLowerCase().includes(words));
    fill(rows, found.length ? list(found) : h("p", { class: "quiet" }, miners.length ? "No miner has that." : "No miner is known yet."));
  };
  const rows = h("div");
  const read = async () => {
    ({ miners } = await get("/v1/miners", signal));
    draw();
  };
  await read();
  fill(box, h("div", { class: "head" }, h("h1", {}, "Miners")), h("form", { class: "filters", onsubmit: (event) => event.preventDefault() }, h("label", {}, "search", search)), rows);
  const take = () => setTimeout(() => signal.aborted || read().catch(() => {}), 400);
  return { title: "Miners", content: [box], live: (state) => follow({ types: TYPES.miners, take, state }, signal) };
}

const list = (miners) => table(null, [number("uid"), "hotkey", "status", "repository", number("committed at"), "last evaluated", "cycle"], miners.map((each) => h("tr", {},
  h("td", { class: "number" }, each.uid),
  h("td", {}, minerLink(each.hotkey)),
  h("td", {}, h("span", { class: each.status === "registered" ? "tag good" : each.status === "rejected" ? "tag miss" : "tag", title: each.detail ?? "" }, each.status)),
  h("td", {}, each.repo ? h("code", {}, `${each.repo}@${each.revision}`) : h("span", { class: "quiet" }, each.code?.replaceAll("_", " ") ?? "–")),
  h("td", { class: "number" }, each.commitment_block),
  h("td", {}, moment(each.last_evaluated)),
  h("td", {}, each.last_cycle ? cycleLink(each.last_cycle) : "–"))));
