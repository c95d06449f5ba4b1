// Numbers and times for people.

export const short = (env) => env.split("/")[1]?.replace(/-v\d+$/, "") ?? env;
export const percent = (share) => (share === null || share === undefined ? "–" : `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)}%`);
export const count = (value) => Number(value).toLocaleString("en");
export const digest = (hex) => `${hex.slice(0, 12)}…`;
export const clock = (time) => new Date(time).toLocaleTimeString([], { hour12: false });
export const moment = (time) => (time ? new Date(time).toLocaleString([], { hour12: false, dateStyle: "medium", timeStyle: "medium" }) : "–");

export function span(seconds) {
  if (seconds === null || !Number.isFinite(seconds)) return "–";
  if (seconds < 60) return `${Math.max(0, seconds).toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** The 95% interval of a rate (Wilson 1927): what it may be, seen from so many episodes. */
export function wilson(successes, episodes, z = 1.959964) {
  if (!episodes) return [0, 1];
  const p = successes / episodes, spread = z * z / episodes;
  const middle = (p + spread / 2) / (1 + spread);
  const half = (z / (1 + spread)) * Math.sqrt((p * (1 - p)) / episodes + spread / (4 * episodes));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}
