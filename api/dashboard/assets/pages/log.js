// The log itself, live and searchable.

import { find, get, persistently } from "../api.js";
import { fill, h } from "../dom.js";
import { clock } from "../format.js";
import { ALL_TYPES, follow } from "../stream.js";

const SHOWN_MAX = 500;
const BEGIN_WITH = 200;
const LOOK_BACK = 10_000;

export async function load(_parameters, signal, query) {
  let following = new AbortController(), paused = false, waiting = [], missed = 0, from = 0, reach = LOOK_BACK;
  const list = h("ol", { class: "events" });
  const note = h("p", { class: "quiet", role: "status" });
  const older = h("button", { type: "button", hidden: true, onclick: () => { reach *= 10; again(); } }, "Look further back");
  const field = (name, label, attributes = {}) => h("label", {}, label, h("input", { name, value: query.get(name) ?? "", ...attributes }));
  const form = h("form", { class: "filters", role: "search", onsubmit: (event) => { event.preventDefault(); chosenAnew(); } },
    h("label", {}, "search", h("input", { type: "search", "data-search": true, placeholder: "in what is shown", oninput: () => sift(list.children) })),
    field("cycle", "cycle", { inputmode: "numeric", pattern: "[0-9]*", size: 6 }),
    field("miner", "miner (uid or hotkey)"),
    field("environment", "environment", { placeholder: "metaworld/push-v3" }),
    h("label", {}, "type", h("select", { name: "type", onchange: () => chosenAnew() }, h("option", { value: "" }, "all"),
      ALL_TYPES.map((type) => h("option", { value: type, selected: type === query.get("type") }, type.replace("kinitro.", ""))))),
    h("button", {}, "Filter"),
    h("button", { type: "button", "aria-pressed": "false", onclick: (event) => pause(event.target) }, "Pause"));
  const [search] = form.elements;
  let state = () => {};

  const wanted = () => Object.fromEntries([...new FormData(form)].filter(([name, value]) => name && String(value).trim()).map(([name, value]) => [name, String(value).trim()]));

  /** Shows those of the lines that have the words. */
  function sift(lines) {
    const words = search.value.trim().toLowerCase();
    for (const each of lines) each.hidden = words !== "" && !each.told.includes(words);
    tell(words);
  }

  function tell(words = search.value.trim()) {
    const lines = list.childElementCount, found = words ? list.querySelectorAll(":scope > li:not([hidden])").length : lines;
    const before = lines >= SHOWN_MAX ? "; older ones are in the export" : from > 1 ? `, from ${from} on` : "";
    note.textContent = `${found}${words ? ` of ${lines}` : ""} events shown, the newest first${before}${paused ? `; paused, ${missed} more` : ""}.`;
    older.hidden = from <= 1 || lines >= SHOWN_MAX;
  }

  /** Lines that stand stay as they are: what is open stays open. `events` are the newest, in their order. */
  function add(events) {
    const lines = events.slice(-SHOWN_MAX).reverse().map(line);
    list.prepend(...lines);
    while (list.childElementCount > SHOWN_MAX) list.lastElementChild.remove();
    sift(lines);
  }

  function pause(button) {
    paused = !paused;
    button.textContent = paused ? "Go on" : "Pause";
    button.setAttribute("aria-pressed", String(paused));
    add(waiting);
    waiting = [];
    missed = 0;
  }

  const chosenAnew = () => { reach = LOOK_BACK; again(); };
  const again = () => begin().catch((error) => { if (error.name !== "AbortError") note.textContent = error.message; });

  async function begin() {
    following.abort();
    following = new AbortController();
    const { signal: mine } = following;
    signal.addEventListener("abort", () => following.abort());
    const chosen = wanted();
    history.replaceState(null, "", `/log${Object.keys(chosen).length ? `?${new URLSearchParams(chosen)}` : ""}`);
    fill(list);
    waiting = [];
    missed = 0;
    note.textContent = "Looking …";
    const end = await persistently(() => endOf(chosen.cycle, mine), mine, () => state("away"));
    if (mine.aborted) return;
    // With a filter few of many events are shown, so more of them are looked at.
    from = Math.max(1, end + 1 - (Object.keys(chosen).length ? reach : BEGIN_WITH * (reach / LOOK_BACK)));
    tell();
    const take = (arrived) => {
      if (!paused) return add(arrived);
      waiting = [...waiting, ...arrived].slice(-SHOWN_MAX);
      missed += arrived.length;
      tell();
    };
    const { type, ...filters } = chosen;
    follow({ after: from - 1, filters, types: type ? [type] : ALL_TYPES, take, state, refused: (error) => { note.textContent = error.message; } }, mine);
  }

  return {
    title: "Log",
    content: [h("section", { class: "card" }, h("div", { class: "head" }, h("h1", {}, "The event log"), h("a", { href: "/v1/events" }, "export")), form, note), h("section", { class: "card" }, list, older)],
    live: (told) => { state = told; again(); },
  };
}

/** The sequence of the newest event, or of the seal of a cycle that has ended. */
async function endOf(cycle, signal) {
  const sealed = cycle && (await find(`/v1/cycles/${encodeURIComponent(cycle)}`, signal))?.seal?.last_sequence;
  return sealed || newest(signal);
}

/** The sequence of the newest event. */
async function newest(signal) {
  const { projections } = await get("/health", signal);
  return Math.max(0, ...Object.values(projections).map(({ sequence, lag }) => sequence + (lag ?? 0)));
}

function line({ sequence, type, time, subject, data, ...rest }) {
  const shown = h("pre", { hidden: true });
  const made = h("li", {},
    h("span", { class: "mono quiet" }, sequence), h("span", { class: "quiet" }, clock(time)), h("span", {}, type.replace("kinitro.", "")), h("span", { class: "mono" }, subject),
    h("details", { ontoggle: (event) => { if (event.target.open) { shown.hidden = false; shown.textContent = JSON.stringify({ ...rest, type, time, subject, data }, null, 2); } } },
      h("summary", { class: "quiet" }, summary(data)), shown));
  made.told = JSON.stringify({ ...rest, sequence, type, time, subject, data }).toLowerCase();
  return made;
}

function summary(data) {
  const named = Object.entries(data).filter(([, value]) => value !== null && typeof value !== "object").slice(0, 7);
  return named.map(([name, value]) => `${name} ${String(value).slice(0, 40)}`).join(" · ") || "details";
}
