// One miner: what it earns, how its episodes end and why, how fast it answers, every decision about it.

import { find, get } from "../api.js";
import { bar, cycleLink, episodeLink, facts, fill, h, legend, number, s, table } from "../dom.js";
import { moment, percent, short } from "../format.js";
import { follow } from "../stream.js";
import { outcomeTag } from "./now.js";

const EPISODES_MAX = 500;

export async function load([hotkey], signal) {
  const boxes = Object.fromEntries(["head", "weights", "failures", "latency", "checks", "history"].map((name) => [name, h("section", { class: "card" })]));
  const read = async () => {
    const [history, { miners }, checks] = await Promise.all([get(`/v1/miners/${encodeURIComponent(hotkey)}/history?limit=200`, signal),
      get("/v1/miners", signal), find(`/v1/miners/${encodeURIComponent(hotkey)}/verifications`, signal)]);
    const planned = history.history.find((each) => each.cycle_id !== null);
    const page = planned && await get(`/v1/cycles/${planned.cycle_id}/episodes?uid=${planned.uid}&limit=${EPISODES_MAX}`, signal);
    const miner = miners.find((each) => each.hotkey === hotkey);
    draw(boxes, hotkey, miner, history, planned, (page?.episodes ?? []).filter((each) => each.hotkey === hotkey), checks);
  };
  await read();
  let due = 0;
  const take = () => { due ||= setTimeout(() => { due = 0; signal.aborted || read().catch(() => {}); }, 1000); };
  const { head, history, ...rest } = boxes;
  return { title: hotkey, content: [head, h("div", { class: "two" }, Object.values(rest)), history], live: (state) => follow({ filters: { miner: hotkey }, take, state }, signal) };
}

function draw(boxes, hotkey, miner, history, planned, episodes, checks) {
  const weighed = history.history.filter((each) => each.kind.startsWith("weights_"));
  const [latest] = weighed;
  fill(boxes.head, h("div", { class: "head" }, h("h1", { style: "overflow-wrap:anywhere" }, hotkey),
    miner && h("span", { class: miner.status === "registered" ? "tag good" : "tag miss" }, miner.status),
    standing(miner?.verification)),
  miner?.detail && h("p", { class: "notice" }, miner.detail),
  facts(
    ["uid", String(miner?.uid ?? history.history[0]?.uid ?? "–")],
    ["weight", latest ? percent(Number(latest.weight ?? 0)) : "–"],
    ["points", latest?.points ?? "–"],
    ["committed at block", String(miner?.commitment_block ?? "–")],
    ["repository", miner?.repo ? h("code", {}, `${miner.repo}@${miner.revision}`) : "–", true],
    ["last evaluated", moment(miner?.last_evaluated), true]));
  fill(boxes.weights, h("h2", {}, "Weights"), weighed.length > 1 ? sparkline(weighed) : null,
    weighed.length ? table(null, ["cycle", number("weight"), number("points"), ""], weighed.slice(0, 8).map((each) => h("tr", {},
      h("td", {}, cycleLink(each.cycle_id)), h("td", { class: "number" }, each.weight === null ? "–" : percent(Number(each.weight))), h("td", { class: "number" }, each.points ?? "–"),
      h("td", {}, each.kind === "weights_withheld" ? h("span", { class: "tag miss", title: each.detail ?? "" }, "withheld") : each.on_frontier && h("span", { class: "tag good" }, "frontier")))))
      : h("p", { class: "quiet" }, "No cycle with this miner has been scored yet."));
  fill(boxes.failures, h("h2", {}, planned ? ["Episodes of ", cycleLink(planned.cycle_id)] : "Episodes"), endings(episodes));
  fill(boxes.latency, h("h2", {}, "How fast it answers"), latencies(episodes));
  fill(boxes.checks, h("h2", {}, "Spot checks"), checksView(checks));
  fill(boxes.history, h("h2", {}, "Every decision"), table(null, [number("at"), "time", "what", ""], history.history.map((each) => h("tr", {},
    h("td", { class: "number" }, each.sequence), h("td", {}, moment(each.time)), h("td", {}, each.kind.replaceAll("_", " ")), h("td", {}, ...told(each))))));
}

function told(each) {
  if (each.episode_id) return [episodeLink(each.episode_id), " ", outcomeTag(each.kind === "completed" ? { kind: "completed", success: each.success } : { kind: each.kind, code: each.code }), " ", each.detail ?? ""];
  if (each.cycle_id) return [cycleLink(each.cycle_id), each.weight ? ` weight ${percent(Number(each.weight))}, ${each.points} points` : "", each.detail ? ` ${each.detail}` : ""];
  return [each.repo ? h("code", {}, `${each.repo}@${each.revision}`) : each.detail ?? ""];
}

function endings(episodes) {
  if (!episodes.length) return h("p", { class: "quiet" }, "None has ended yet.");
  const envs = Map.groupBy ? Map.groupBy(episodes, (each) => each.env) : episodes.reduce((map, each) => map.set(each.env, [...(map.get(each.env) ?? []), each]), new Map());
  const amount = (some, test) => some.filter(test).length;
  const reasons = new Map();
  for (const each of episodes) if (each.code) reasons.set(each.code, [...(reasons.get(each.code) ?? []), each]);
  return [
    table(null, ["environment", "", number("success")], [...envs].map(([env, some]) => {
      const successful = amount(some, (each) => each.success), completed = amount(some, (each) => each.status === "completed");
      const forfeited = amount(some, (each) => each.status === "forfeited"), abandoned = amount(some, (each) => each.status === "abandoned");
      return h("tr", {}, h("td", { title: env }, short(env)), h("td", { class: "rate" }, bar([["completed-yes", successful], ["completed-no", completed - successful], ["forfeited", forfeited], ["abandoned", abandoned]], some.length)),
        h("td", { class: "number" }, completed + forfeited ? percent(successful / (completed + forfeited)) : "–"));
    })), legend(),
    reasons.size > 0 && table("Why some do not count as completed", ["reason", number("episodes"), "the latest"], [...reasons].map(([code, some]) => h("tr", {},
      h("td", {}, h("span", { class: "tag miss" }, code.replaceAll("_", " "))), h("td", { class: "number" }, some.length), h("td", {}, episodeLink(some.at(-1).id), " ", some.at(-1).detail ?? "")))),
  ];
}

function latencies(episodes) {
  const medians = episodes.filter((each) => each.latency?.calls).map((each) => each.latency.p50_ms).sort((a, b) => a - b);
  if (!medians.length) return h("p", { class: "quiet" }, "No act was answered yet.");
  const at = (share) => medians[Math.min(medians.length - 1, Math.floor(share * medians.length))];
  const slowest = Math.max(...episodes.map((each) => each.latency?.max_ms ?? 0));
  return facts(["half of the episodes within", `${at(0.5).toFixed(1)} ms`], ["nine of ten within", `${at(0.9).toFixed(1)} ms`], ["the slowest act", `${slowest.toFixed(0)} ms`], ["episodes", String(medians.length)]);
}

function standing(verification) {
  if (verification?.standing === "failed") return h("span", { class: "tag alarm", title: verification.detail ?? "" }, `unverified since cycle ${verification.since_cycle}`);
  return verification?.standing === "passed" && h("span", { class: "tag good" }, `verified in cycle ${verification.cycle_id}`);
}

function checksView(checks) {
  const found = checks?.verifications ?? [];
  if (!found.length) return h("p", { class: "quiet" }, "It has not been checked yet.");
  return table(null, ["cycle", "outcome", "why"], found.slice(0, 8).map((each) => h("tr", {}, h("td", {}, cycleLink(each.cycle_id)),
    h("td", {}, h("span", { class: { passed: "tag good", failed: "tag alarm" }[each.outcome] ?? "tag miss" }, each.outcome)), h("td", {}, each.detail ?? ""))));
}

function sparkline(weighed) {
  const values = weighed.slice(0, 60).reverse().map((each) => Number(each.weight ?? 0)), most = Math.max(...values, 1e-9);
  const points = values.map((value, place) => `${(4 + (392 * place) / (values.length - 1)).toFixed(1)},${(56 - (48 * value) / most).toFixed(1)}`).join(" ");
  return s("svg", { class: "plot", viewBox: "0 0 400 60", role: "img", "aria-label": `weights of the last ${values.length} cycles, the newest ${percent(values.at(-1))}` },
    s("line", { class: "axis", x1: 4, x2: 396, y1: 56, y2: 56 }), s("polyline", { class: "line", points }));
}
