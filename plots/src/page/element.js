"use strict";
// Elements from plain descriptions. Text reaches the page through textContent alone, so that a name
// from a run is never markup.

/** An HTML element; strings among its children become text. */
function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined) node.append(child);
  }
  return node;
}

/** What is wider than its place: it scrolls by itself, by keyboard too. */
function scroller(name, ...children) {
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": name }, children);
}

/**
 * One tab stop for many: arrow keys go on among the elements that `selector` finds in `box`.
 * `step`: how many elements each key goes on.
 */
function roving(box, selector, step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }) {
  const all = () => [...box.querySelectorAll(selector)];
  all().forEach((node, i) => node.setAttribute("tabindex", i ? -1 : 0));
  box.addEventListener("focusin", event => {
    const here = event.target.closest(selector);
    if (here) all().forEach(node => node.setAttribute("tabindex", node === here ? 0 : -1));
  });
  box.addEventListener("keydown", event => {
    const list = all(), at = list.indexOf(event.target.closest(selector));
    const to = { Home: 0, End: list.length - 1 }[event.key] ?? (event.key in step ? at + step[event.key] : null);
    if (at < 0 || to === null) return;
    event.preventDefault();
    list[Math.max(0, Math.min(list.length - 1, to))].focus();
  });
  return box;
}
