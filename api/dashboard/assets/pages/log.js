// The log itself, live and searchable.

import { get } from "../api.js";
import { fill, h } from "../dom.js";
import { clock } from "../format.js";
import { ALL_TYPES, follow } from "../stream.js";

const SHOWN_MAX = 500;
const BEGIN_WITH = 200;

export async function load(_parameters, signal, query) {
  let events = [], following = new AbortController(), paused = false, missed = 0;
  const list = h("ol", { class: "events" });
  const note = h("p", { class: "quiet", role: "status" });
  const field = (name, label, attributes = {}) => h("label", {}, label, h("input", { name, value: query.get(name) ?? "", ...attributes }));
  const form = h("form", { class: "filters", role: "search", onsubmit: (event) => { event.preventDefault(); again(); } },
    h("label", {}, "search", h("input", { type: "search", "data-search": true, placeholder: "in what is shown", oninput: () => draw() })),
    field("cycle", "cycle", { inputmode: "numeric", pattern: "[0-9]*", size: 6 }),
    field("miner", "miner (uid or hotkey)"),
    field("environment", "environment", { placeholder: "metaworld/push-v3" }),
    h("label", {}, "type", h("select", { name: "type", onchange: () => again() }, h("option", { value: "" }, "all"),
      ALL_TYPES.map((type) => h("option", { value: type, selected: type === query.get("type") }, type.replace("kinitro.", ""))))),
    h("button", {}, "Filter"),
    h("button", { type: "button", "aria-pressed": "false", onclick: (event) => pause(event.target) }, "Pause"));
  const [search] = form.elements;
  let state = () => {};

  const wanted = () => Object.fromEntries([...new FormData(form)].filter(([name, value]) => name && String(value).trim()).map(([name, value]) => [name, String(value).trim()]));

  function draw() {
    const words = search.value.trim().toLowerCase();
    const found = words ? events.filter((each) => JSON.stringify(each).toLowerCase().includes(words)) : events;
    fill(list, found.map(line));
    note.textContent = `${found.length}${words ? ` of ${events.length}` : ""} events shown, the newest first${events.length >= SHOWN_MAX ? `; older ones are in the export` : ""}${paused ? `; paused, ${missed} more` : ""}.`;
  }

  function pause(button) {
    paused = !paused;
    button.textContent = paused ? "Go on" : "Pause";
    button.setAttribute("aria-pressed", String(paused));
    if (!paused) missed = 0;
    draw();
  }

  async function again() {
    following.abort();
    following = new AbortController();
    signal.addEventListener("abort", () => following.abort());
    const chosen = wanted();
    history.replaceState(null, "", `/log${Object.keys(chosen).length ? `?${new URLSearchParams(chosen)}` : ""}`);
    events = [];
    draw();
    // Without a filter the newest few; with one the stream goes through all of history, and the newest stay.
    const after = Object.keys(chosen).length ? 0 : Math.max(0, (await newest(signal)) - BEGIN_WITH);
    const take = (arrived) => {
      events = [...arrived.reverse(), ...events].slice(0, SHOWN_MAX);
      paused ? (missed += arrived.length) : draw();
    };
    const { type, ...filters } = chosen;
    follow({ after, filters, types: type ? [type] : ALL_TYPES, take, state }, following.signal);
  }

  return {
    title: "Log",
    content: [h("section", { class: "card" }, h("div", { class: "head" }, h("h1", {}, "The event log"), h("a", { href: "/v1/events" }, "export")), form, note), h("section", { class: "card" }, list)],
    live: (told) => { state = told; again().catch((error) => { if (error.name !== "AbortError") note.textContent = error.message; }); },
  };
}

/** The sequence of the newest event. */
async function newest(signal) {
  const { projections } = await get("/health", signal);
  return Math.max(0, ...Object.values(projections).map(({ sequence, lag }) => sequence + (lag ?? 0)));
}

function line({ sequence, type, time, subject, data, ...rest }) {
  const shown = h("pre", { hidden: true });
  return h("li", {},
    h("span", { class: "mono quiet" }, sequence), h("span", { class: "quiet" }, clock(time)), h("span", {}, type.replace("kinitro.", "")), h("span", { class: "mono" }, subject),
    h("details", { ontoggle: (event) => { if (event.target.open) { shown.hidden = false; shown.textContent = JSON.stringify({ ...rest, type, time, subject, data }, null, 2); } } },
      h("summary", { class: "quiet" }, summary(data)), shown));
}

function summary(data) {
  const named = Object.entries(data).filter(([, value]) => value !== null && typeof value !== "object").slice(0, 7);
  return named.map(([name, value]) => `${name} ${String(value).slice(0, 40)}`).join(" · ") || "details";
}
