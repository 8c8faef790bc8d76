// Building and finding elements.

export const $ = (selector, root = document) => root.querySelector(selector);

/** An element: `h("a.brand", {href: "/"}, "text", child)`. Properties, `on…` listeners, `data-…`/`aria-…` attributes. */
export function h(selector, ...rest) {
  const [tag, ...classes] = selector.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  const [first] = rest;
  const plain = first && typeof first === "object" && !(first instanceof Node) && !Array.isArray(first);
  if (plain) for (const [name, value] of Object.entries(rest.shift())) set(element, name, value);
  element.append(...rest.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name in element && !name.includes("-")) element[name] = value;
  else element.setAttribute(name, value);
}

/** Changes a text only when it differs, so that nothing is laid out for nothing. */
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}
