// What is running now: the cycle filling up, miner by environment.

import { find, get } from "../api.js";
import { bar, cycleLink, episodeLink, facts, fill, h, legend, minerLink, number, table, tableOf } from "../dom.js";
import { clock, count, percent, short, span } from "../format.js";
import { TYPES, follow } from "../stream.js";

const RECENT = 10;
const RATE_WINDOW_MS = 60_000;
const WORKER_GONE_MS = 120_000;
const OUTCOMES = new Set(["kinitro.episode.completed", "kinitro.episode.forfeited", "kinitro.episode.abandoned"]);

export async function load(_parameters, signal) {
  const status = await get("/v1/status", signal);
  const shown = new Cycle();
  const id = status.current_cycle ?? status.last_completed_cycle;
  if (id !== null) await shown.read(id, signal);
  const view = new View(shown, status);
  view.draw();
  return { title: "Now", content: view.elements, live: (state) => view.follow(state, signal) };
}

/** A cycle as it stands, folded from a snapshot and the events after it. */
class Cycle {
  constructor() {
    this.plan = null;
    this.sequence = null;
  }

  async read(id, signal) {
    // Both as of one place in the log, from which on it is followed: nothing is counted twice.
    const tallies = await get(`/v1/cycles/${id}/tallies`, signal);
    const cycle = await get(`/v1/cycles/${id}?at_seq=${tallies.sequence}`, signal);
    this.begin(cycle.plan, cycle.planned_at);
    this.sequence = tallies.sequence;
    for (const each of tallies.tallies) this.cells.set(`${each.uid} ${each.env}`, each);
    this.ended = cycle.seal && { status: cycle.status, time: cycle.ended_at };
    this.failedAttempts = cycle.progress.attempts_failed;
    this.weights = cycle.seal ? await find(`/v1/scores/${id}`, signal) : null;
  }

  begin(plan, time) {
    Object.assign(this, { plan, begunAt: Date.parse(time), cells: new Map(), ended: null, weights: null, failedAttempts: 0, recent: [], times: [], workers: new Map(), changed: new Set() });
  }

  cell(uid, env) {
    const key = `${uid} ${env}`;
    if (!this.cells.has(key)) this.cells.set(key, { completed: 0, successful: 0, forfeited: 0, abandoned: 0 });
    return this.cells.get(key);
  }

  get planned() {
    return this.plan.roster.length * this.plan.environments.length * this.plan.episodes_per_environment;
  }

  get done() {
    let sum = 0;
    for (const cell of this.cells.values()) sum += cell.completed + cell.forfeited + cell.abandoned;
    return sum;
  }

  apply(event) {
    const { type, data, time } = event;
    if (type === "kinitro.cycle.planned") return this.begin(data, time);
    if (!this.plan || data.cycle !== this.plan.cycle) return;
    if (OUTCOMES.has(type)) this.settle(event);
    else if (type === "kinitro.episode.attempt_failed") this.failedAttempts += 1;
    else if (type === "kinitro.cycle.sealed" || type === "kinitro.cycle.abandoned") this.ended = { status: type.split(".")[2], time };
    else if (type.startsWith("kinitro.weights.computed") || type.startsWith("kinitro.weights.withheld")) this.weights = data;
  }

  settle({ type, data, time, sequence }) {
    const cell = this.cell(data.uid, data.env), kind = type.split(".")[2];
    this.changed.add(`${data.uid} ${data.env}`);
    cell[kind] += 1;
    if (data.success) cell.successful += 1;
    this.times.push(Date.parse(time));
    if (data.worker && data.worker !== "conductor") this.workers.set(data.worker, Date.parse(time));
    this.recent.unshift({ ...data, kind, time, sequence });
    this.recent.length = Math.min(this.recent.length, RECENT);
  }

  /** Outcomes per second of late. */
  rate(now) {
    this.times = this.times.filter((time) => now - time < RATE_WINDOW_MS);
    const first = Math.max(this.begunAt, now - RATE_WINDOW_MS);
    return now > first ? this.times.length / ((now - first) / 1000) : 0;
  }
}

class View {
  constructor(cycle, status) {
    this.cycle = cycle;
    this.status = status;
    this.elements = ["head", "facts", "grid", "recent"].map(() => h("section", { class: "card" }));
    this.announcer = h("p", { class: "skip", "aria-live": "polite" });
    this.built = {};
    this.cells = new Map();
    this.progress = h("div", { style: "margin-top:.7rem" });
    this.rows = h("tbody");
    this.elements.push(this.announcer);
  }

  follow(state, signal) {
    const types = [...TYPES.cycles, ...TYPES.episodes, ...TYPES.weights, ...TYPES.checks];
    const take = (events) => {
      for (const event of events) {
        this.cycle.apply(event);
        if (event.type === "kinitro.cycle.planned") this.announcer.textContent = `Cycle ${event.data.cycle} begins`;
      }
      this.draw();
    };
    follow({ after: this.cycle.sequence ?? 0, types, take, state }, signal);
    // Rates and times go on although nothing happens.
    const ticking = setInterval(() => this.drawFacts(), 1000);
    signal.addEventListener("abort", () => clearInterval(ticking));
  }

  draw() {
    const { cycle, elements: [head] } = this;
    if (!cycle.plan) {
      fill(head, h("h1", {}, "No cycle yet"), h("p", { class: "quiet" }, "The first begins when a miner is known. This page shows it by itself."));
      return;
    }
    const { plan, ended, weights } = cycle;
    if (plan !== this.built.plan || ended !== this.built.ended || weights !== this.built.weights) this.build();
    else this.drawChanged();
    cycle.changed.clear();
    this.drawProgress();
    this.drawFacts();
    this.drawRecent();
  }

  /** What stays until the cycle is another one, or in another state. */
  build() {
    const { cycle, elements: [head, , grid, recent] } = this;
    if (cycle.plan !== this.built.plan) fill(this.rows);
    this.built = { plan: cycle.plan, ended: cycle.ended, weights: cycle.weights };
    fill(head, h("div", { class: "head" }, h("h1", {}, cycleLink(cycle.plan.cycle)), stateTag(cycle)), this.progress);
    fill(grid, h("h2", {}, "Miners by environment"), this.table(), legend());
    this.none = h("p", { class: "quiet" }, "Nothing since this page was opened.");
    const columns = ["time", "episode", "how", number("steps"), number("reward"), "worker"];
    fill(recent, h("h2", {}, cycle.ended ? "Ended last while you watched" : "Just ended"), this.none, tableOf(columns, this.rows));
  }

  /** Several hundred events a second change a few hundred of some thousand cells. */
  drawChanged() {
    const { cycle } = this;
    for (const key of cycle.changed) if (this.cells.has(key)) fill(this.cells.get(key), cellView(cycle.cells.get(key), cycle.plan.episodes_per_environment));
  }

  drawProgress() {
    const { cycle } = this, sum = { successful: 0, completed: 0, forfeited: 0, abandoned: 0 };
    for (const cell of cycle.cells.values()) for (const name of Object.keys(sum)) sum[name] += cell[name];
    fill(this.progress, bar(parts(sum), cycle.planned, true), h("p", { class: "quiet" }, `${count(cycle.done)} of ${count(cycle.planned)} episodes`));
  }

  drawFacts() {
    const { cycle, elements: [, box] } = this;
    if (!cycle.plan) return fill(box, h("p", { class: "quiet" }, `${this.status.miners_registered} miners are registered.`));
    const now = Date.now(), rate = cycle.rate(now), left = cycle.planned - cycle.done;
    const alive = [...cycle.workers].filter(([, time]) => now - time < WORKER_GONE_MS);
    const running = !cycle.ended;
    fill(box, facts(
      ["episodes per second", running ? rate.toFixed(rate < 10 ? 1 : 0) : "–"],
      ["time left", running ? (rate > 0 ? span(left / rate) : "–") : "ended"],
      ["running for", span(((cycle.ended ? Date.parse(cycle.ended.time) : now) - cycle.begunAt) / 1000)],
      ["workers seen", running ? (alive.length ? String(alive.length) : "–") : "–"],
      ["miners", String(cycle.plan.roster.length)],
      ["attempts in which we failed", count(cycle.failedAttempts)],
    ));
  }

  table() {
    const { cycle } = this, { plan } = cycle, per = plan.episodes_per_environment;
    const paid = new Map((cycle.weights?.standings ?? []).map((each) => [each.uid, each]));
    const columns = ["miner", ...plan.environments.map((env) => h("th", { scope: "col", title: env }, short(env)))];
    if (paid.size) columns.push(number("weight"));
    this.cells.clear();
    const cell = (uid, env) => {
      const element = h("td", { class: "rate" }, cellView(cycle.cell(uid, env), per));
      this.cells.set(`${uid} ${env}`, element);
      return element;
    };
    return h("div", { class: "named" }, table(null, columns, plan.roster.map(({ uid, hotkey }) => h("tr", {},
      h("td", {}, minerLink(hotkey, uid)),
      plan.environments.map((env) => cell(uid, env)),
      paid.size ? h("td", { class: "number" }, percent(Number(paid.get(uid)?.weight ?? 0))) : null))));
  }

  /** Rows that stand stay where they are: who has the focus on one keeps it. */
  drawRecent() {
    const { recent } = this.cycle, shown = Number(this.rows.firstElementChild?.dataset.sequence ?? 0);
    this.rows.prepend(...recent.filter((each) => each.sequence > shown).map(recentRow));
    while (this.rows.childElementCount > RECENT) this.rows.lastElementChild.remove();
    this.none.hidden = recent.length > 0;
    this.rows.parentElement.hidden = recent.length === 0;
  }
}

const recentRow = (each) => h("tr", { "data-sequence": each.sequence },
  h("td", {}, clock(each.time)),
  h("td", {}, episodeLink([each.cycle, each.uid, each.env.replace("/", "."), each.index].join("."))),
  h("td", {}, outcomeTag(each)),
  h("td", { class: "number" }, each.steps ?? "–"),
  h("td", { class: "number" }, each.total_reward === undefined ? "–" : each.total_reward.toFixed(1)),
  h("td", {}, each.worker ?? "–"));

const parts = (cell) => [
  ["completed-yes", cell.successful],
  ["completed-no", cell.completed - cell.successful],
  ["forfeited", cell.forfeited],
  ["abandoned", cell.abandoned],
];

const cellView = (cell, per) => [bar(parts(cell), per), h("span", { class: "quiet" }, `${cell.successful}/${cell.completed + cell.forfeited}`)];

function stateTag(cycle) {
  if (!cycle.ended) return h("span", { class: "tag good" }, "running");
  if (cycle.ended.status === "abandoned") return h("span", { class: "tag void" }, "abandoned");
  return h("span", { class: "tag" }, cycle.weights?.reason || cycle.weights?.withheld ? "no weights" : cycle.weights ? "weights computed" : "sealed");
}

export function outcomeTag({ kind, status, success, code }) {
  const how = kind ?? status;
  if (how === "completed") return success ? h("span", { class: "tag good" }, "success") : h("span", { class: "tag" }, "no success");
  if (how === "pending") return h("span", { class: "tag" }, "pending");
  return h("span", { class: how === "forfeited" ? "tag miss" : "tag void" }, `${how}: ${(code ?? "").replaceAll("_", " ")}`);
}
