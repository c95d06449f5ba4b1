// All cycles, newest first.

import { get } from "../api.js";
import { bar, cycleLink, fill, h, number, table } from "../dom.js";
import { count, moment, span } from "../format.js";
import { TYPES, follow } from "../stream.js";

export async function load(_parameters, signal) {
  let cycles = [], cursor = null;
  const rows = h("div"), more = h("button", { type: "button", onclick: () => read(cursor) }, "Older cycles");
  const draw = () => {
    fill(rows, cycles.length ? list(cycles) : h("p", { class: "quiet" }, "No cycle has been planned yet."));
    more.hidden = cursor === null;
  };
  async function read(from) {
    const page = await get(`/v1/cycles?limit=50${from ? `&cursor=${from}` : ""}`, signal);
    cycles = from ? [...cycles, ...page.cycles] : page.cycles;
    cursor = page.next_cursor;
    draw();
  }
  await read(null);
  const take = () => setTimeout(() => signal.aborted || read(null).catch(() => {}), 400);
  return {
    title: "Cycles",
    content: [h("section", { class: "card" }, h("h1", {}, "Cycles"), rows, more)],
    live: (state) => follow({ types: TYPES.cycles, take, state }, signal),
  };
}

const TAGS = { sealed: "tag good", running: "tag", planned: "tag", abandoned: "tag void" };

const list = (cycles) => table(null, ["cycle", "state", "episodes", number("planned"), number("block"), "begun", "took"], cycles.map((each) => {
  const { completed, successful, forfeited, abandoned } = each.progress;
  return h("tr", {},
    h("td", {}, cycleLink(each.id)),
    h("td", {}, h("span", { class: TAGS[each.status] }, each.status)),
    h("td", { class: "rate" }, bar([["completed-yes", successful], ["completed-no", completed - successful], ["forfeited", forfeited], ["abandoned", abandoned]], each.episodes_planned)),
    h("td", { class: "number" }, count(each.episodes_planned)),
    h("td", { class: "number" }, each.block),
    h("td", {}, moment(each.planned_at)),
    h("td", {}, each.ended_at ? span((Date.parse(each.ended_at) - Date.parse(each.planned_at)) / 1000) : "–"));
}));
