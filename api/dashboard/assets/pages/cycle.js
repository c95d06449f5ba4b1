// One cycle: its plan, how it went, what vouches for it.

import { find, get } from "../api.js";
import { checkCycle } from "../check.js";
import { bar, episodeLink, facts, fill, h, legend, minerLink, number, table, tableOf } from "../dom.js";
import { clock, count, digest, moment, percent, short, span } from "../format.js";
import { TYPES, follow } from "../stream.js";
import { outcomeTag } from "./now.js";

export async function load([id], signal) {
  const boxes = Object.fromEntries(["head", "environments", "plan", "checks", "evidence", "episodes"].map((name) => [name, h("section", { class: "card" })]));
  const read = async () => {
    const about = (part) => find(`/v1/cycles/${id}/${part}`, signal);
    const [cycle, root, checks, copies] = await Promise.all([get(`/v1/cycles/${id}`, signal), about("root"), about("verifications"), about("copies")]);
    draw(boxes, cycle, { root, checks, copies: copies?.copies ?? [] }, signal);
    return cycle;
  };
  const cycle = await read();
  drawEpisodes(boxes.episodes, cycle, signal);
  const { evidence, plan, checks, ...rest } = boxes;
  const content = [rest.head, h("div", { class: "two" }, rest.environments, plan), h("div", { class: "two" }, evidence, checks), rest.episodes];
  // A cycle that has ended changes no more but for what is signed and computed right after.
  const types = [...TYPES.cycles, ...TYPES.episodes, ...TYPES.checks, ...TYPES.weights, ...TYPES.evidence];
  let due = 0;
  const take = () => { due ||= setTimeout(() => { due = 0; signal.aborted || read().catch(() => {}); }, 500); };
  return { title: `Cycle ${id}`, content, live: (state) => follow({ filters: { cycle: id }, types, take, state }, signal) };
}

const TAGS = { sealed: "tag good", running: "tag", planned: "tag", abandoned: "tag void" };

function draw(boxes, cycle, { root, checks, copies }, signal) {
  const { progress, plan } = cycle, done = progress.completed + progress.forfeited + progress.abandoned;
  fill(boxes.head,
    h("div", { class: "head" }, h("h1", {}, `Cycle ${cycle.id}`), h("span", { class: TAGS[cycle.status] }, cycle.status),
      h("span", { class: "quiet" }, neighbours(cycle))),
    h("div", { style: "margin:.7rem 0" }, bar(parts(progress), cycle.episodes_planned, true)),
    facts(
      ["episodes", `${count(done)} of ${count(cycle.episodes_planned)}`],
      ["planned", moment(cycle.planned_at), true],
      ["ended", moment(cycle.ended_at), true],
      ["took", cycle.ended_at ? span((Date.parse(cycle.ended_at) - Date.parse(cycle.planned_at)) / 1000) : "–"],
      ["attempts in which we failed", count(progress.attempts_failed)],
    ));
  fill(boxes.environments, h("h2", {}, "Environments"),
    table(null, ["environment", "", number("success")], Object.entries(cycle.environments).map(([env, each]) => {
      const counted = each.completed + each.forfeited;
      return h("tr", {}, h("td", { title: env }, short(env)), h("td", { class: "rate" }, bar(parts(each), cycle.episodes_planned / plan.environments.length)),
        h("td", { class: "number" }, counted ? percent(each.successful / counted) : "–"));
    })), legend());
  fill(boxes.plan, h("h2", {}, "Plan"), planFacts(cycle));
  fill(boxes.checks, h("h2", {}, "Spot checks"), checksView(plan, checks), copiesView(copies));
  fill(boxes.evidence, h("h2", {}, "Evidence"), evidenceView(cycle, root, signal));
}

const parts = (each) => [["completed-yes", each.successful], ["completed-no", each.completed - each.successful], ["forfeited", each.forfeited], ["abandoned", each.abandoned]];
const neighbours = ({ id, ended_at }) => [id > 1 && h("a", { href: `/cycles/${id - 1}` }, `← ${id - 1}`), " ",
  ended_at && h("a", { href: `/cycles/${id + 1}` }, `${id + 1} →`)];

function planFacts({ plan, seed }) {
  const { terms, rules, chain } = plan;
  return facts(
    ["miners", String(plan.roster.length)],
    ["episodes each", `${plan.episodes_per_environment} × ${plan.environments.length}`],
    ["block", String(plan.block)],
    ["observation", terms.observation_profile, true],
    ["variation", terms.variation.name, true],
    ["deadline of an act", `${terms.act_deadline_ms} ms`],
    ["rules", `${rules.version}, temperature ${rules.temperature}, ${rules.points} points`, true],
    ["chain", chain ? `netuid ${chain.netuid}` : "none: a roster", true],
    ["seeded by block", seed ? String(seed.block) : "–"],
  );
}

function checksView(plan, checks) {
  if (!plan.verification) return h("p", { class: "quiet" }, "Nobody is checked in this cycle.");
  const { rate, tolerance, samples, suspended } = plan.verification, found = checks?.verifications ?? [];
  return [
    h("p", { class: "quiet" }, `Each miner with probability ${rate}, ${samples} actions, tolerance ${tolerance}. `,
      suspended.length > 0 && `Failed before, and not passed since: uid ${suspended.map((each) => each.uid).join(", ")}.`),
    found.length
      ? table(null, ["miner", "outcome", number("match"), "why"], found.map((each) => h("tr", {},
        h("td", {}, minerLink(each.hotkey, each.uid)),
        h("td", {}, h("span", { class: { passed: "tag good", failed: "tag alarm" }[each.outcome] ?? "tag miss" }, each.outcome)),
        h("td", { class: "number" }, each.score === null || each.score === undefined ? "–" : percent(each.score)),
        h("td", {}, each.detail ?? ""))))
      : h("p", { class: "quiet" }, "No check has an outcome yet. Who is drawn is a secret until then."),
  ];
}

const copiesView = (copies) => copies.length > 0 && table("Policies that are the same", ["miner", "as an earlier one", "seen by"], copies.map((each) => h("tr", {},
  h("td", {}, minerLink(each.hotkey, each.uid)), h("td", {}, minerLink(each.of_hotkey)),
  h("td", {}, each.kind === "files" ? `${each.files.length} equal files of weights` : `all actions of ${each.episodes} episodes`))));

function evidenceView(cycle, root, signal) {
  if (!cycle.seal) return h("p", { class: "quiet" }, "It comes with the end of the cycle.");
  const exported = `/v1/cycles/${cycle.id}/events`;
  const result = h("div", { role: "status" });
  const run = async (event) => {
    event.target.disabled = true;
    try {
      const verdicts = await checkCycle(cycle.id, signal, (done) => fill(result, h("p", {}, `${count(done)} events …`)));
      fill(result, verdicts.every(([, same]) => same) ? h("p", {}, h("span", { class: "tag good" }, "all the same")) : h("p", {}, h("span", { class: "tag alarm" }, "different")),
        table(null, ["what", "", ""], verdicts.map(([what, same, detail]) => h("tr", {}, h("td", {}, what),
          h("td", {}, h("span", { class: same ? "tag good" : "tag alarm" }, same ? "same" : "different")), h("td", { class: "mono" }, detail)))));
    } catch (error) {
      if (error.name !== "AbortError") fill(result, h("p", { class: "notice alarm" }, error.message));
    } finally {
      event.target.disabled = false;
    }
  };
  return [
    facts(
      ["Merkle root", cycle.seal.merkle_root ? h("code", { title: cycle.seal.merkle_root }, digest(cycle.seal.merkle_root)) : "none: abandoned", true],
      ["over events", cycle.seal.tree_size ? count(cycle.seal.tree_size) : "–"],
      ["signed by", root ? h("code", { title: root.key }, digest(root.key)) : "nobody yet", true],
      ["signed", root ? moment(root.signed_at) : "–", true]),
    cycle.status === "sealed" && h("p", {}, h("button", { type: "button", class: "main", onclick: run }, "Check it in this browser"), " ",
      h("a", { href: exported, download: `cycle-${cycle.id}.ndjson` }, "download the events")),
    result,
    h("p", { class: "quiet" }, "Everything, from the bytes to the weights and signatures:"),
    h("p", {}, h("code", {}, `kinitro audit cycle ${cycle.id} --api-url ${location.origin}`)),
  ];
}

function drawEpisodes(box, cycle, signal) {
  const rows = h("tbody"), more = h("button", { type: "button", onclick: () => read(false) }, "More episodes");
  const choice = (name, values) => h("select", { name, onchange: () => read(true) }, h("option", { value: "" }, "all"), values);
  const uid = choice("uid", cycle.plan.roster.map((each) => h("option", { value: each.uid }, `${each.uid} ${each.hotkey}`)));
  const env = choice("env", cycle.plan.environments.map((each) => h("option", { value: each }, short(each))));
  let cursor = null;
  async function read(anew) {
    const query = new URLSearchParams({ limit: 50 });
    if (uid.value) query.set("uid", uid.value);
    if (env.value) query.set("env", env.value);
    if (!anew && cursor) query.set("cursor", cursor);
    const page = await get(`/v1/cycles/${cycle.id}/episodes?${query}`, signal);
    cursor = page.next_cursor;
    const found = page.episodes.map(row);
    anew ? fill(rows, found) : rows.append(...found);
    more.hidden = cursor === null;
    empty.hidden = rows.childElementCount > 0;
  }
  const columns = ["episode", "miner", "environment", "how", number("steps"), number("reward"), number("act p50"), "ended"];
  const empty = h("p", { class: "quiet" }, "None has ended yet.");
  fill(box, h("h2", {}, "Episodes"), h("form", { class: "filters", onsubmit: (event) => event.preventDefault() }, h("label", {}, "miner", uid), h("label", {}, "environment", env)),
    tableOf(columns, rows), empty, more);
  read(true).catch((error) => error.name === "AbortError" || fill(rows, h("tr", {}, h("td", {}, error.message))));
}

const row = (each) => h("tr", {},
  h("td", {}, episodeLink(each.id, String(each.index))),
  h("td", {}, minerLink(each.hotkey, each.uid)),
  h("td", { title: each.env }, short(each.env)),
  h("td", { title: each.detail ?? "" }, outcomeTag(each)),
  h("td", { class: "number" }, each.steps ?? "–"),
  h("td", { class: "number" }, each.total_reward === null ? "–" : each.total_reward.toFixed(1)),
  h("td", { class: "number" }, each.latency?.calls ? `${each.latency.p50_ms.toFixed(1)} ms` : "–"),
  h("td", {}, each.ended_at ? clock(each.ended_at) : "–"));
