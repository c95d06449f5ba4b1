// Who earns what: rates with their intervals, the frontier, and weights.

import { find, get } from "../api.js";
import { cycleLink, facts, fill, h, minerLink, number, s, table } from "../dom.js";
import { moment, percent, short, wilson } from "../format.js";
import { follow } from "../stream.js";

export async function load(_parameters, signal) {
  const box = h("div", { class: "two", style: "grid-template-columns:minmax(0,1fr)" });
  const chosen = { x: 0, y: 1 };
  const redraw = async () => fill(box, ...view(await find("/v1/scores/latest", signal), chosen));
  await redraw();
  const types = ["kinitro.weights.computed", "kinitro.weights.withheld"];
  const live = (state) => follow({ types, state, take: () => later(redraw, signal) }, signal);
  return { title: "Standings", content: [box], live };
}

/** The read model follows the log by a moment. */
function later(redraw, signal) {
  for (const wait of [300, 2000]) setTimeout(() => signal.aborted || redraw().catch(() => {}), wait);
}

function view(scores, chosen) {
  if (!scores) return [h("section", { class: "card" }, h("h1", {}, "No standings yet"), h("p", { class: "quiet" }, "They come with the first cycle that is scored."))];
  const environments = Object.keys(scores.epsilons).sort();
  const standings = scores.standings.map((each) => ({
    ...each,
    front: scores.pareto_frontier.includes(each.uid),
    rates: Object.fromEntries(environments.map((env) => [env, rate(each.episodes[env])])),
  })).sort((a, b) => b.weight - a.weight || b.points - a.points || a.uid - b.uid);
  return [head(scores, standings), h("section", { class: "card" }, ranking(standings, environments)), plotCard(standings, environments, scores.epsilons, chosen)];
}

function rate({ completed, successful, forfeited }) {
  const episodes = completed + forfeited;
  return { successful, episodes, value: episodes ? successful / episodes : null, interval: wilson(successful, episodes) };
}

function head(scores, standings) {
  return h("section", { class: "card" },
    h("div", { class: "head" }, h("h1", {}, "Standings"), h("span", { class: "quiet" }, cycleLink(scores.cycle_id), ` · ${moment(scores.created_at)}`)),
    scores.withheld && h("p", { class: "notice" }, `No weights (${scores.withheld.reason.replaceAll("_", " ")}): ${scores.withheld.detail}`),
    facts(["miners", String(standings.length)], ["on the frontier", String(scores.pareto_frontier.length)], ["block", String(scores.block)]));
}

function ranking(standings, environments) {
  const most = Math.max(...standings.map((each) => Number(each.weight)), 1e-9);
  const columns = [number("rank"), "miner", "", number("weight"), number("points"),
    ...environments.map((env) => h("th", { scope: "col", title: env }, short(env)))];
  const rows = standings.map((each, place) => h("tr", {},
    h("td", { class: "number" }, place + 1),
    h("td", {}, minerLink(each.hotkey, each.uid)),
    h("td", {}, each.front && h("span", { class: "tag good", title: "nobody dominates this miner" }, "frontier"),
      each.unverified && h("span", { class: "tag alarm", title: "failed a spot check" }, "unverified"),
      each.moved && h("span", { class: "tag miss", title: "no longer holds its uid" }, "moved")),
    h("td", { class: "number" }, percent(Number(each.weight)),
      h("div", { class: "bar" }, h("i", { style: `width:${(100 * each.weight) / most}%;background:var(--accent)` }))),
    h("td", { class: "number" }, each.points),
    environments.map((env) => rateCell(each.rates[env]))));
  return table("Success rates with their 95% intervals, best weight first", columns, rows);
}

function rateCell({ value, interval: [low, high], successful, episodes }) {
  const told = value === null ? "no episode counts" : `${successful} of ${episodes}; 95% interval ${percent(low)} to ${percent(high)}`;
  const at = (share) => 4 + 84 * share;
  return h("td", { class: "rate", title: told }, percent(value),
    s("svg", { class: "interval", viewBox: "0 0 92 14", role: "img", "aria-label": told },
      s("line", { class: "track", x1: 4, x2: 88, y1: 7, y2: 7 }),
      value !== null && s("line", { class: "range", x1: at(low), x2: at(high), y1: 7, y2: 7 }),
      value !== null && s("circle", { class: "point", cx: at(value), cy: 7, r: 3.5 })));
}

function plotCard(standings, environments, epsilons, chosen) {
  if (environments.length < 2) return null;
  const box = h("div");
  const redraw = () => fill(box, plot(standings, environments[chosen.x], environments[chosen.y], epsilons));
  const select = (axis, label) => h("label", {}, label,
    h("select", { onchange: (event) => { chosen[axis] = Number(event.target.value); redraw(); } },
      environments.map((env, place) => h("option", { value: place, selected: place === chosen[axis] }, short(env)))));
  redraw();
  return h("section", { class: "card" }, h("h2", {}, "Two environments against each other"),
    h("form", { class: "filters", onsubmit: (event) => event.preventDefault() }, select("x", "across"), select("y", "upwards")), box,
    h("p", { class: "quiet" }, "Lines are 95% intervals. Blue: on the frontier over all environments. The grey square is epsilon: what counts as no difference."));
}

const LEFT = 44, TOP = 18, SIZE = 360, BOTTOM = 34, RIGHT = 22, NAMED_MAX = 12;

function plot(standings, across, upwards, epsilons) {
  const x = (share) => LEFT + SIZE * share, y = (share) => TOP + SIZE * (1 - share);
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  return s("svg", { class: "plot", style: "max-width:480px", viewBox: `0 0 ${LEFT + SIZE + RIGHT} ${TOP + SIZE + BOTTOM}`, role: "img",
    "aria-label": `Success on ${short(across)} against ${short(upwards)}, a point for each miner` },
  ticks.map((share) => [
    s("line", { class: "grid", x1: x(share), x2: x(share), y1: y(0), y2: y(1) }),
    s("line", { class: "grid", x1: x(0), x2: x(1), y1: y(share), y2: y(share) }),
    s("text", { x: x(share), y: y(0) + 15, "text-anchor": "middle" }, percent(share)),
    s("text", { x: x(0) - 6, y: y(share) + 4, "text-anchor": "end" }, percent(share)),
  ]),
  s("rect", { x: x(0), y: y(Number(epsilons[upwards])), width: SIZE * epsilons[across], height: SIZE * epsilons[upwards], fill: "var(--faint)" }),
  s("text", { x: x(0.5), y: y(0) + 31, "text-anchor": "middle" }, short(across)),
  s("text", { x: x(0) + 4, y: TOP - 6 }, short(upwards)),
  standings.filter((each) => each.rates[across].value !== null && each.rates[upwards].value !== null)
    .map((each) => point(each, each.rates[across], each.rates[upwards], x, y)),
  standings.length <= NAMED_MAX && labels(standings, across, upwards).map(([names, [right, up]]) => s("text", { class: "label",
    x: x(right) + (right > 0.6 ? -9 : 9), y: y(up) + (up > 0.9 ? 17 : -8), "text-anchor": right > 0.6 ? "end" : "start" }, names.join(", "))));
}

/** Miners at one point share a label. */
function labels(standings, across, upwards) {
  const found = new Map();
  for (const { hotkey, rates } of standings) {
    const at = [rates[across].value, rates[upwards].value], key = at.join(" ");
    if (at.includes(null)) continue;
    found.set(key, [[...(found.get(key)?.[0] ?? []), hotkey.length > 14 ? `${hotkey.slice(0, 13)}…` : hotkey], at]);
  }
  return [...found.values()];
}

function point(each, across, upwards, x, y) {
  const at = { x: x(across.value), y: y(upwards.value) };
  const told = `${each.uid} ${each.hotkey}: ${percent(across.value)} and ${percent(upwards.value)}`;
  return s("a", { href: `/miners/${encodeURIComponent(each.hotkey)}`, "aria-label": told },
    s("title", {}, told),
    s("line", { class: "range", x1: x(across.interval[0]), x2: x(across.interval[1]), y1: at.y, y2: at.y }),
    s("line", { class: "range", x1: at.x, x2: at.x, y1: y(upwards.interval[0]), y2: y(upwards.interval[1]) }),
    s("circle", { class: each.front ? "dot front" : "dot", cx: at.x, cy: at.y, r: 5 }));
}
