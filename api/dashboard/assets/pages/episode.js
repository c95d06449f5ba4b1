// One episode: how it ended, its rewards step by step, and what the cameras saw.

import { asked, get } from "../api.js";
import { cycleLink, facts, fill, h, minerLink, number, s, table } from "../dom.js";
import { digest, moment, short } from "../format.js";
import { decoded } from "../recording.js";
import { TYPES, follow } from "../stream.js";
import { outcomeTag } from "./now.js";

export async function load([id], signal) {
  const boxes = Object.fromEntries(["head", "rewards", "film", "evidence"].map((name) => [name, h("section", { class: "card" })]));
  const read = async () => {
    const episode = await get(`/v1/episodes/${encodeURIComponent(id)}`, signal);
    draw(boxes, episode);
    await drawRecording(boxes, episode, signal);
    return episode;
  };
  const episode = await read();
  const types = [...TYPES.episodes, ...TYPES.cycles];
  const take = (events) => { if (!events.length || events.some((each) => each.type.startsWith("kinitro.cycle.") || (each.data.index === episode.index && each.data.env === episode.env))) setTimeout(() => signal.aborted || read().catch(() => {}), 400); };
  const filters = { cycle: episode.cycle_id, miner: episode.hotkey };
  const live = (state) => {
    if (episode.status !== "pending") return;
    follow({ filters, types, take, state }, signal);
    watch(boxes.film, boxes.rewards, episode.id, signal);
  };
  return { title: id, content: [boxes.head, h("div", { class: "two" }, boxes.rewards, boxes.film), boxes.evidence], live };
}

function draw(boxes, episode) {
  const { latency } = episode;
  fill(boxes.head,
    h("div", { class: "head" }, h("h1", {}, `${short(episode.env)} #${episode.index}`), outcomeTag(episode), h("span", { class: "quiet" }, minerLink(episode.hotkey, episode.uid), " in ", cycleLink(episode.cycle_id))),
    episode.detail && h("p", { class: "notice" }, episode.detail),
    facts(
      ["steps", episode.steps === null ? "–" : String(episode.steps)],
      ["reward", episode.total_reward === null ? "–" : episode.total_reward.toFixed(2)],
      ["act, median", latency?.calls ? `${latency.p50_ms.toFixed(1)} ms` : "–"],
      ["act, slowest", latency?.calls ? `${latency.max_ms.toFixed(1)} ms` : "–"],
      ["took", episode.duration_s === null ? "–" : `${episode.duration_s.toFixed(1)} s`],
      ["worker", episode.worker ?? "–", true],
      ["ended", moment(episode.ended_at), true]),
    episode.attempts.length > 0 && table("Attempts in which we failed, not the policy", [number("attempt"), "code", "detail", "worker"], episode.attempts.map((each) => h("tr", {},
      h("td", { class: "number" }, each.attempt), h("td", {}, each.code.replaceAll("_", " ")), h("td", {}, each.detail), h("td", {}, each.worker)))));
  const { evidence } = episode;
  fill(boxes.evidence, h("h2", {}, "Evidence"), evidence ? facts(
    ["actions", h("code", { title: evidence.action_digest }, digest(evidence.action_digest)), true],
    ["final state", h("code", { title: evidence.final_state_digest }, digest(evidence.final_state_digest)), true],
    ["variation", h("code", { title: evidence.variation_digest }, digest(evidence.variation_digest)), true],
    ["event", `${episode.sequence} in the log`, true],
    ["machine", evidence.machine, true],
    ["versions", Object.entries(evidence.versions).map(([name, version]) => `${name} ${version}`).join(", "), true]) : h("p", { class: "quiet" }, "It was not run, or has not ended."),
  evidence && h("p", {}, h("code", {}, `kinitro audit episode ${episode.id} --api-url ${location.origin}`)));
}

async function drawRecording(boxes, episode, signal) {
  const path = `/v1/episodes/${encodeURIComponent(episode.id)}`;
  const say = (text) => { fill(boxes.rewards, h("h2", {}, "Reward at each step"), h("p", { class: "quiet" }, text)); fill(boxes.film, h("h2", {}, "What the cameras saw"), h("p", { class: "quiet" }, text)); };
  if (episode.status === "pending") return say("The episode has not ended. Its steps are shown here while a worker runs it.");
  const { ended_at: ended } = await get(`/v1/cycles/${episode.cycle_id}`, signal);
  if (!ended) return say("Shown when the cycle has ended: until then other miners may have this episode before them.");
  try {
    const { rewards } = await decoded(await (await asked(`${path}/trace`, signal)).arrayBuffer());
    fill(boxes.rewards, h("h2", {}, "Reward at each step"), rewards.length ? curve(rewards) : h("p", { class: "quiet" }, "It ended before its first step."));
    film(boxes.film, path, signal);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    say(error.message);
  }
}

function film(box, path, signal) {
  const place = h("div"), note = h("p", { class: "quiet", role: "status" }, "Drawn anew from the recorded actions: the pictures take seconds, the film up to minutes.");
  const show = (suffix, element) => async (event) => {
    const buttons = event.target.parentElement.querySelectorAll("button");
    buttons.forEach((each) => { each.disabled = true; });
    note.textContent = "Being drawn …";
    try {
      const made = URL.createObjectURL(await (await asked(`${path}/film${suffix}`, signal)).blob());
      signal.addEventListener("abort", () => URL.revokeObjectURL(made));
      fill(place, element(made));
      note.textContent = "";
    } catch (error) {
      if (error.name !== "AbortError") note.textContent = error.message;
    } finally {
      buttons.forEach((each) => { each.disabled = false; });
    }
  };
  const video = (source) => h("video", { src: source, controls: true, autoplay: true, loop: true, muted: true });
  const sheet = (source) => h("img", { class: "sheet", src: source, alt: "Twelve pictures of the episode, from its start to its end" });
  fill(box, h("h2", {}, "What the cameras saw"),
    h("p", {}, h("button", { type: "button", class: "main", onclick: show(".mp4", video) }, "Show the film"), " ", h("button", { type: "button", onclick: show(".png", sheet) }, "Twelve pictures")), note, place);
}

/** The episode while it runs: its steps, and as much more as the operator lets be seen. */
function watch(film, curveBox, id, signal) {
  const source = new EventSource(`/v1/episodes/${encodeURIComponent(id)}/live?frames=true`);
  signal.addEventListener("abort", () => source.close());
  source.addEventListener("end", () => source.close());
  const rewards = [], picture = h("img", { class: "sheet", alt: "What a camera sees now", hidden: true }), place = h("div");
  source.addEventListener("step", (message) => {
    const step = JSON.parse(message.data);
    fill(place, h("p", {}, h("progress", { max: step.steps_max, value: step.step }), ` step ${step.step} of at most ${step.steps_max}, on ${step.worker}`));
    if (!place.isConnected) fill(film, h("h2", {}, "While it runs"), place, picture);
    if (step.frame) {
      picture.src = `data:image/jpeg;base64,${step.frame.jpeg_base64}`;
      picture.hidden = false;
    }
    if (step.reward !== null && step.reward !== undefined) {
      rewards.push(step.reward);
      fill(curveBox, h("h2", {}, "Reward, now and then"), curve(rewards));
    }
  });
}

const WIDTH = 560, HEIGHT = 220, LEFT = 40, BOTTOM = 26, TOP = 10;

function curve(rewards) {
  const low = Math.min(0, ...rewards), high = Math.max(...rewards, low + 1e-6), last = Math.max(1, rewards.length - 1);
  const x = (step) => LEFT + ((WIDTH - LEFT - 8) * step) / last, y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low));
  const points = Array.from(rewards, (value, step) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const levels = [low, (low + high) / 2, high], digits = Math.max(1, Math.ceil(1 - Math.log10(high - low)));
  return s("svg", { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `rewards of ${rewards.length} steps, from ${rewards[0].toFixed(2)} to ${rewards.at(-1).toFixed(2)}, at most ${high.toFixed(2)}` },
    levels.map((value) => [s("line", { class: "grid", x1: LEFT, x2: WIDTH - 8, y1: y(value), y2: y(value) }), s("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(digits))]),
    [0, last / 2, last].map((step) => s("text", { x: x(step), y: HEIGHT - 8, "text-anchor": step === last ? "end" : step ? "middle" : "start" }, `step ${Math.round(step) + 1}`)),
    s("polyline", { class: "line", points }));
}
