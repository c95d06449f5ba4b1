// Elements from values. Text is always text: nothing that a miner wrote becomes markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element: h("a", {href: "/"}, "text", child, [more]). Children that are null or false are left out. */
export const h = (tag, attributes = {}, ...children) => made(document.createElement(tag), attributes, children);

/** The same in SVG. */
export const s = (tag, attributes = {}, ...children) => made(document.createElementNS(SVG, tag), attributes, children);

function made(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") element.style.cssText = value; // allowed by the content policy, as an attribute is not
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Puts new children in the place of what is there. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== false));
  return element;
}

/** A table in a box that scrolls by itself where the screen is narrow. `columns`: names, or elements. */
export const table = (caption, columns, rows) => tableOf(columns, h("tbody", {}, rows), caption);

/** The same around a body that is kept. */
export function tableOf(columns, body, caption = null) {
  const head = columns.map((name) => (name instanceof Node ? name : h("th", { scope: "col" }, name)));
  return h("div", { class: "scroll" }, h("table", {}, caption && h("caption", {}, caption), h("thead", {}, h("tr", {}, head)), body));
}

export const number = (text) => h("th", { scope: "col", class: "number" }, text);

/** Names and values. */
export function facts(...pairs) {
  return h("dl", { class: "facts" }, pairs.filter(Boolean).map(([name, value, small]) =>
    h("div", {}, h("dt", {}, name), h("dd", { class: small ? "small" : null }, value))));
}

/** A bar in parts: [class, amount] each, of a whole. */
export function bar(parts, whole, tall = false) {
  const told = parts.filter(([, amount]) => amount).map(([name, amount]) => `${amount} ${NAMES[name] ?? name}`).join(", ");
  return h("div", { class: tall ? "bar tall" : "bar", role: "img", "aria-label": told || "nothing yet", title: told },
    parts.map(([name, amount]) => h("i", { class: name, style: `width:${whole ? (100 * amount) / whole : 0}%` })));
}

const NAMES = { "completed-yes": "succeeded", "completed-no": "did not succeed" };

export const legend = () => h("ul", { class: "legend" },
  [["completed-yes", "succeeded"], ["completed-no", "did not"], ["forfeited", "forfeited by the policy"], ["abandoned", "abandoned by us"]]
    .map(([name, text]) => h("li", {}, h("i", { class: name }), text)));

export const minerLink = (hotkey, uid) =>
  h("a", { href: `/miners/${encodeURIComponent(hotkey)}`, title: hotkey }, uid === undefined ? "" : `${uid} `, h("span", { class: "name" }, hotkey));
export const cycleLink = (id) => h("a", { href: `/cycles/${id}` }, `cycle ${id}`);
export const episodeLink = (id, text = id) => h("a", { href: `/episodes/${encodeURIComponent(id)}` }, text);
