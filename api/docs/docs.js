// Makes the page from the two documents. All text goes through textContent: nothing in them is taken for markup.

const DEPTH_MAX = 4;

function element(name, ...content) {
  const it = document.createElement(name);
  it.append(...content.filter((each) => each !== null && each !== undefined && each !== ""));
  return it;
}

function code(text) {
  return element("code", text);
}

function resolved(whole, schema) {
  while (schema?.$ref) schema = schema.$ref.slice(2).split("/").reduce((it, key) => it[key], whole);
  return schema ?? {};
}

function kind(whole, schema) {
  const named = schema.$ref?.split("/").at(-1);
  const it = resolved(whole, schema);
  const choices = it.anyOf ?? it.oneOf ?? it.allOf;
  if (choices) return choices.map((each) => kind(whole, each)).join(" or ");
  if (it.enum) return it.enum.map((each) => JSON.stringify(each)).join(" | ");
  if (it.const !== undefined) return JSON.stringify(it.const);
  if (it.type === "array") return `list of ${kind(whole, it.items ?? {})}`;
  if (it.type === "object" && typeof it.additionalProperties === "object") return `map to ${kind(whole, it.additionalProperties)}`;
  return named ?? [it.type ?? "any", it.format].filter(Boolean).join(", ");
}

function bounds(schema) {
  const words = { minimum: "≥", exclusiveMinimum: ">", maximum: "≤", exclusiveMaximum: "<", pattern: "matches", maxLength: "length ≤", default: "default" };
  return Object.entries(words).filter(([key]) => schema[key] !== undefined).map(([key, word]) => `${word} ${JSON.stringify(schema[key])}`).join(", ");
}

function inner(whole, schema) {
  const it = resolved(whole, schema);
  if (it.properties) return it;
  const next = it.items ?? it.additionalProperties ?? (it.anyOf ?? it.oneOf ?? it.allOf)?.find((each) => resolved(whole, each).type !== "null");
  return next && typeof next === "object" ? inner(whole, next) : null;
}

function fields(whole, schema, depth = 0) {
  const it = inner(whole, schema);
  if (!it || depth === DEPTH_MAX) return null;
  return element("dl", ...Object.entries(it.properties).flatMap(([name, field]) => {
    const told = [kind(whole, field), bounds(resolved(whole, field)), field.description].filter(Boolean).join("; ");
    return [element("dt", code(name)), element("dd", told, fields(whole, field, depth + 1))];
  }));
}

function curl(path, operation) {
  const given = (operation.parameters ?? []).filter((it) => it.example !== undefined);
  const filled = given.filter((it) => it.in === "path").reduce((it, each) => it.replace(`{${each.name}}`, encodeURIComponent(each.example)), path);
  const query = given.filter((it) => it.in === "query").map((it) => `${it.name}=${encodeURIComponent(it.example)}`).join("&");
  return `curl '${location.origin}${filled}${query && `?${query}`}'`;
}

function answers(whole, operation) {
  return Object.entries(operation.responses).map(([status, response]) => {
    const [type, content] = Object.entries(response.content ?? {})[0] ?? [];
    const shown = status === "200" && content?.schema ? fields(whole, content.schema) : null;
    return element("div", element("p", code(status), ` ${response.description}`, type ? `, ${type}` : ""), shown);
  });
}

function route(whole, path, method, operation) {
  const parameters = (operation.parameters ?? []).flatMap((it) => [
    element("dt", code(it.name), ` ${it.in}`),
    element("dd", [kind(whole, it.schema), bounds(it.schema), it.required ? "required" : "", it.description].filter(Boolean).join("; ")),
  ]);
  const example = operation.responses["200"]?.content?.["application/json"]?.example;
  return element("details",
    element("summary", code(`${method.toUpperCase()} ${path}`), element("span", (operation.description ?? operation.summary).split("\n")[0])),
    element("p", (operation.description ?? "").split("\n").slice(1).join(" ")),
    element("pre", curl(path, operation)),
    parameters.length ? element("h4", "Parameters") : null, element("dl", ...parameters),
    element("h4", "Answers"), ...answers(whole, operation),
    example === undefined ? null : element("h4", "For example"), example === undefined ? null : element("pre", JSON.stringify(example, null, 2)));
}

function showRoutes(whole) {
  document.querySelector("#summary").textContent = `${whole.info.summary} Version ${whole.info.version}.`;
  const groups = Map.groupBy(
    Object.entries(whole.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, it]) => [path, method, it])),
    ([, , it]) => it.tags?.[0] ?? "other");
  for (const [tag, routes] of groups) {
    document.querySelector("#routes").append(element("h3", tag), ...routes.map(([path, method, it]) => route(whole, path, method, it)));
  }
}

function showEvents(whole) {
  const messages = Object.values(whole.channels).flatMap((channel) => Object.entries(channel.messages).map(([name, message]) => {
    const it = resolved(whole, message);
    return element("details",
      element("summary", code(name), element("span", it.summary)),
      element("p", "At ", code(channel.address), " in the log."),
      element("h4", "data"), fields(whole, it.payload.properties.data));
  }));
  document.querySelector("#events").append(element("p", whole.info.description), ...messages);
}

function find(words) {
  for (const it of document.querySelectorAll("details")) {
    it.hidden = !it.textContent.toLowerCase().includes(words.toLowerCase());
  }
}

const [api, events] = await Promise.all(["openapi.json", "asyncapi.json"].map(async (name) => (await fetch(name)).json()));
showRoutes(api);
showEvents(events);
document.querySelector("#find").addEventListener("input", (event) => find(event.target.value));
