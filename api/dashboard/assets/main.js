// One page at a time: which one the address says, and how people move between them.

import { Unanswered, persistently } from "./api.js";
import { fill, h } from "./dom.js";

const PAGES = [
  [/^\/$/, () => import("./pages/now.js")],
  [/^\/standings$/, () => import("./pages/standings.js")],
  [/^\/miners$/, () => import("./pages/miners.js")],
  [/^\/miners\/([^/]+)$/, () => import("./pages/miner.js")],
  [/^\/cycles$/, () => import("./pages/cycles.js")],
  [/^\/cycles\/(\d+)$/, () => import("./pages/cycle.js")],
  [/^\/episodes\/([^/]+)$/, () => import("./pages/episode.js")],
  [/^\/log$/, () => import("./pages/log.js")],
];
const KEYS = { n: "/", s: "/standings", m: "/miners", c: "/cycles", l: "/log" };
const STATES = { live: "live", away: "reconnecting", idle: "" };

const main = document.getElementById("main");
const link = document.getElementById("link");
let leaving = new AbortController();

function state(name) {
  link.dataset.state = name;
  link.textContent = STATES[name];
}

async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const path = location.pathname;
  for (const each of document.querySelectorAll("nav a")) {
    const target = each.getAttribute("href");
    const here = target === "/" ? path === "/" : path.startsWith(target);
    here ? each.setAttribute("aria-current", "page") : each.removeAttribute("aria-current");
  }
  const found = PAGES.map(([pattern, load]) => [pattern.exec(path), load]).find(([match]) => match);
  if (!found) return told("There is no such page.", "Go to what runs now: it leads to everything else.");
  try {
    const parameters = found[0].slice(1).map(decodeURIComponent);
    const page = await found[1]();
    const tell = (error) => { state("away"); told("The backend is away.", `${error.message} This page goes on by itself.`); };
    const { title, content, live } = await persistently(() => page.load(parameters, signal, new URLSearchParams(location.search)), signal, tell);
    if (signal.aborted) return;
    document.title = `${title} · kinitro`;
    fill(main, content);
    live?.(state);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Unanswered || error instanceof URIError)) console.error(error);
    told(error.status === 404 ? "Not here." : "This page could not be drawn.", error.message);
  }
}

function told(head, detail) {
  document.title = "kinitro";
  fill(main, h("h1", {}, head), h("p", { class: "notice", role: "alert" }, detail));
}

function go(path) {
  document.getElementById("help").close();
  if (path !== location.pathname + location.search) history.pushState(null, "", path);
  scrollTo(0, 0);
  show().then(() => main.focus({ preventScroll: true }));
}

document.addEventListener("click", (event) => {
  const anchor = event.target.closest?.("a[href^='/']");
  if (!anchor || event.button || event.metaKey || event.ctrlKey || event.shiftKey || anchor.target || anchor.hasAttribute("download")) return;
  const path = anchor.getAttribute("href");
  if (!PAGES.some(([pattern]) => pattern.test(path.split("?")[0]))) return;
  event.preventDefault();
  go(path);
});

document.addEventListener("keydown", (event) => {
  if (event.metaKey || event.ctrlKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const search = document.querySelector("[data-search]");
  if (event.key === "?") document.getElementById("help").showModal();
  else if (event.key === "/" && search) search.focus();
  else if (KEYS[event.key]) go(KEYS[event.key]);
  else return;
  event.preventDefault();
});

document.getElementById("keys").addEventListener("click", () => document.getElementById("help").showModal());
addEventListener("popstate", show);
show();
