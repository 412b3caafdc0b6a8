"use strict";
// Charts from plain descriptions: lines with their intervals, and rows of bars.
// Text reaches the page through textContent alone, so that a name from a run is
// never markup.

const PARTS = 7;

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

const colour = look => look.c;

/** The colour of a part of a stacked bar; the second seven are pale. */
const partColour = i => (i < PARTS ? `var(--p${i})` : `color-mix(in srgb, var(--p${i % PARTS}) 50%, var(--paper))`);

/** The path of a marker of equal visual weight around a point. */
function marker(look, x, y, r = 4.5) {
  const [corners, turn, size] = {
    circle: [20, 0, 1], square: [4, 0.125, 1.2], diamond: [4, 0, 1.3],
    triangle: [3, 0.75, 1.35], down: [3, 0.25, 1.35],
  }[look.m];
  const points = [];
  for (let i = 0; i < corners; i++) {
    const a = 2 * Math.PI * (i / corners + turn);
    points.push(`${(x + r * size * Math.cos(a)).toFixed(1)},${(y + r * size * Math.sin(a)).toFixed(1)}`);
  }
  return "M" + points.join("L") + "Z";
}

/** The small sample of a series' look that stands before its name. */
function swatch(look) {
  return svg("svg", { class: "swatch", viewBox: "0 0 26 12", "aria-hidden": "true" },
    svg("line", { x1: 1, x2: 25, y1: 6, y2: 6, stroke: colour(look), "stroke-width": 2,
      "stroke-dasharray": look.d || null }),
    svg("path", { d: marker(look, 13, 6, 4), fill: colour(look) }));
}

const SIZE = { width: 640, height: 400, top: 40, bottom: 56 };

/**
 * Lines with bands. `curves`: {name, look, hollow, dash, points: [{x, y, lo, hi, tip}]}, with
 * `marks: false` for a bare line and `stroke: false` for bare marks, which get no name;
 * `guides`: {points: [[x, y]], name}. A logarithmic y leaves out what is not positive.
 */
function lineChart({ title, sub, source, x, y, curves, guides = [] }) {
  if (y.kind === "log") curves = curves.map(positive);
  curves = curves.filter(c => c.points.length);
  if (!curves.length) return absent(title, "no point to show");
  const all = curves.flatMap(c => c.points);
  const xs = axis(x, all.map(p => p.x).concat(guides.flatMap(g => g.points.map(p => p[0]))));
  const ys = axis(y, all.flatMap(p => [p.y, p.lo ?? p.y, p.hi ?? p.y])
    .concat(guides.flatMap(g => g.points.map(p => p[1]))));
  const left = 14 + Math.max(...ys.ticks.map(t => (t.label || "").length)) * 9.4;
  const named = curves.filter(c => c.stroke !== false), names = named.map(c => clip(c.name, 24));
  const right = SIZE.width - 34 - Math.max(...names.map(n => n.length)) * 9.6;
  const at = (px, py) => [
    left + xs.at(px) * (right - left),
    SIZE.height - SIZE.bottom - ys.at(py) * (SIZE.height - SIZE.bottom - SIZE.top),
  ];
  const root = svg("svg", { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, tabindex: 0, role: "img",
    "aria-label": `${title}. ${sub}. Arrow keys read the points.` });
  frame(root, xs, ys, left, right, at);
  for (const guide of guides) {
    const points = guide.points.map(p => at(...p));
    root.append(svg("path", { d: "M" + points.map(flat).join("L"), class: "guide" }));
    const middle = points[Math.floor(points.length * 0.8)];
    root.append(svg("text", { x: middle[0] - 6, y: middle[1] - 5, class: "small", "text-anchor": "end" }, guide.name));
  }
  const spots = [];
  for (const curve of curves) if (curve.stroke !== false) root.append(band(curve, at) ?? "");
  for (const curve of curves) root.append(line(curve, at, spots));
  endLabels(root, named, names, at, right);
  hover(root, spots);
  return figure(title, sub, root, source);
}

/**
 * Latency over time: `heat` has a string a column, a base-36 digit a level; `range` is what the
 * maps beside it reach too, so that one height is one time in all of them.
 */
function heatMap({ title, sub, source, look, heat, range }) {
  const xs = axis({ kind: "near", name: "seconds" }, [0, heat.seconds]);
  const ys = axis({ kind: "log", name: "time", format: time }, range);
  const left = 100, right = SIZE.width - 20, levels = heat.columns[0].length;
  const at = (x, y) => [left + xs.at(x) * (right - left), SIZE.height - SIZE.bottom - ys.at(y) * (SIZE.height - SIZE.bottom - SIZE.top)];
  const root = svg("svg", { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, tabindex: 0, role: "img",
    "aria-label": `${title}. ${sub}. Arrow keys read the tiles.` });
  frame(root, xs, ys, left, right, at);
  const most = Math.max(1, ...heat.columns.flatMap(c => [...c].map(d => parseInt(d, 36)))), tiles = new Map(), spots = [];
  const seconds = i => heat.seconds * i / heat.columns.length, ns = k => heat.lo * (heat.hi / heat.lo) ** (k / levels);
  const edge = (i, k) => at(seconds(i), ns(k));
  heat.columns.forEach((column, i) => [...column].forEach((digit, k) => {
    if (digit === "0") return;
    const [x0, y0] = edge(i, k), [x1, y1] = edge(i + 1, k + 1);
    tiles.set(digit, (tiles.get(digit) || "") + `M${flat([x0, y0])}H${x1.toFixed(1)}V${y1.toFixed(1)}H${x0.toFixed(1)}Z`);
    spots.push({ x: (x0 + x1) / 2, y: (y0 + y1) / 2,
      tip: `${short(seconds(i))} to ${short(seconds(i + 1))} s, ${time(ns(k))} to ${time(ns(k + 1))}\nn = ${counts(digit)} operations` });
  }));
  for (const [digit, d] of tiles) {
    root.append(svg("path", { d, fill: colour(look), "fill-opacity": (0.12 + 0.88 * parseInt(digit, 36) / most).toFixed(2) }));
  }
  hover(root, spots);
  return figure(title, sub, root, source);
}

/** The counts that a shade of a heat map stands for: two shades to each power of ten. */
function counts(digit) {
  const from = shade => Math.ceil(10 ** ((shade - 1) / 2)), shade = parseInt(digit, 36);
  return `${si(from(shade))} to ${si(from(shade + 1) - 1)}`;
}

const flat = p => `${p[0].toFixed(1)},${p[1].toFixed(1)}`;
const clip = (text, n) => (text.length > n ? text.slice(0, n - 1) + "…" : text);

function positive(curve) {
  const points = curve.points.filter(p => p.y > 0)
    .map(p => ({ ...p, lo: p.lo > 0 ? p.lo : p.y }));
  return { ...curve, points };
}

function frame(root, xs, ys, left, right, at) {
  const bottom = SIZE.height - SIZE.bottom;
  let above = Infinity;
  for (const tick of ys.ticks) {
    const y = at(xs.ticks[0].v, tick.v)[1];
    root.append(svg("line", { x1: left, x2: right, y1: y, y2: y, class: tick.label ? "grid" : "grid minor" }));
    if (tick.label && above - y > 15) {
      root.append(svg("text", { x: left - 7, y: y + 5, "text-anchor": "end" }, tick.label));
      above = y;
    }
  }
  root.append(svg("line", { x1: left, x2: right, y1: bottom, y2: bottom, class: "axis" }));
  const marks = xs.ticks.map(t => ({ x: left + xs.at(t.v) * (right - left), label: t.label, half: (t.label || "").length * 5 }));
  for (const { x } of marks) root.append(svg("line", { x1: x, x2: x, y1: bottom, y2: bottom + 5, class: "axis" }));
  for (const { x, label } of apart(marks.filter(m => m.label))) {
    root.append(svg("text", { x, y: bottom + 22, "text-anchor": "middle" }, label));
  }
  root.append(svg("text", { x: 0, y: 17, class: "name" }, ys.name + (ys.kind === "log" ? " (log scale)" : "")));
  root.append(svg("text", { x: (left + right) / 2, y: bottom + 46, class: "name", "text-anchor": "middle" }, xs.name));
}

/** The labels that do not meet; the last, which says how far the data goes, before those between. */
function apart(labels) {
  const last = labels[labels.length - 1];
  let taken = -Infinity;
  return labels.filter(l => {
    const free = l.x - l.half > taken && (l === last || l.x + l.half + 6 < last.x - last.half);
    if (free) taken = l.x + l.half + 6;
    return free;
  });
}

function band(curve, at) {
  if (curve.points.length < 2 || curve.points[0].hi === undefined) return null;
  const upper = curve.points.map(p => at(p.x, p.hi)), lower = curve.points.map(p => at(p.x, p.lo));
  const d = "M" + upper.concat(lower.reverse()).map(flat).join("L") + "Z";
  return svg("path", { d, fill: colour(curve.look), class: "band" });
}

function line(curve, at, spots) {
  const plain = curve.marks === false;
  const g = svg("g", { "data-series": curve.name, style: `--c:${colour(curve.look)}` });
  const points = curve.points.map(p => at(p.x, p.y));
  if (curve.stroke !== false) {
    g.append(svg("path", { d: "M" + points.map(flat).join("L"), class: "line",
      "stroke-dasharray": (curve.dash ?? curve.look.d) || null }));
  }
  curve.points.forEach((p, i) => {
    const [x, y] = points[i];
    if (p.hi !== undefined && p.hi > p.lo && !plain) {
      const top = at(p.x, p.hi)[1], bottom = at(p.x, p.lo)[1];
      g.append(svg("path", { class: "whisker",
        d: `M${x},${top}V${bottom}M${x - 4},${top}h8M${x - 4},${bottom}h8` }));
    }
    if (!plain) g.append(svg("path", { d: marker(curve.look, x, y), class: curve.hollow ? "mark hollow" : "mark" }));
    spots.push({ x, y, tip: `${curve.name}\n${p.tip}` });
  });
  return g;
}

/** Names at the ends of their lines, moved apart where they would overlap. */
function endLabels(root, curves, names, at, right) {
  const ends = curves.map((c, i) => {
    const p = c.points[c.points.length - 1], [x, y] = at(p.x, p.y);
    return { x, y, row: y, name: names[i], look: c.look };
  });
  const room = SIZE.height - SIZE.bottom - SIZE.top, gap = Math.min(19, room / ends.length);
  const rows = ends.slice().sort((a, b) => a.y - b.y);
  for (let round = 0; round < 100; round++) {
    for (let i = 1; i < rows.length; i++) {
      const lack = gap - (rows[i].row - rows[i - 1].row);
      if (lack > 0.01) { rows[i - 1].row -= lack / 2; rows[i].row += lack / 2; }
    }
    rows[0].row = Math.max(rows[0].row, SIZE.top);
    rows[rows.length - 1].row = Math.min(rows[rows.length - 1].row, SIZE.height - SIZE.bottom);
  }
  for (const end of ends) {
    root.append(svg("path", { d: `M${end.x + 7},${end.y}L${right + 15},${end.row}`,
      class: right - end.x > 30 ? "leader long" : "leader", stroke: colour(end.look) }));
    root.append(svg("text", { x: right + 19, y: end.row + 5, class: "end",
      style: `--c:${colour(end.look)};--size:${Math.max(8, 16 * gap / 19).toFixed(1)}px` }, end.name));
  }
}

/** The nearest point speaks, under the mouse or by arrow keys. */
function hover(root, spots) {
  const ring = svg("circle", { r: 8, class: "ring", visibility: "hidden" });
  root.append(ring);
  let current = 0;
  const show = i => {
    current = (i + spots.length) % spots.length;
    const { x, y, tip } = spots[current];
    ring.setAttribute("cx", x); ring.setAttribute("cy", y); ring.setAttribute("visibility", "visible");
    const box = root.getBoundingClientRect(), k = box.width / SIZE.width;
    tipAt(box.left + x * k, box.top + y * k, tip);
  };
  const hide = () => { ring.setAttribute("visibility", "hidden"); hideTip(); };
  root.addEventListener("mousemove", event => {
    const box = root.getBoundingClientRect(), k = SIZE.width / box.width;
    const mx = (event.clientX - box.left) * k, my = (event.clientY - box.top) * k;
    let best = 0, least = Infinity;
    spots.forEach((s, i) => { const d = Math.hypot(s.x - mx, s.y - my); if (d < least) { least = d; best = i; } });
    if (least < 60) show(best); else hide();
  });
  root.addEventListener("mouseleave", hide);
  root.addEventListener("blur", hide);
  root.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") hide();
    if (!step) return;
    event.preventDefault();
    show(ring.getAttribute("visibility") === "hidden" ? current : current + step);
  });
}

function tipAt(x, y, text) {
  const tip = document.getElementById("tip");
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - width - 8)) + "px";
  tip.style.top = Math.max(4, y - height - 12) + "px";
}

function hideTip() { document.getElementById("tip").hidden = true; }

/**
 * Horizontal bars. `blocks`: {name, look, rows: [{label, parts: [[value, colour]], lo, hi,
 * note, tip}]}; a row with `words` in place of parts has no bar. `legend`: [[name, colour]].
 */
function barChart({ title, sub, source, blocks, legend = [] }) {
  const reach = row => Math.max(row.hi ?? 0, (row.parts || []).reduce((s, p) => s + p[0], 0));
  const most = Math.max(1e-300, ...blocks.flatMap(b => b.rows.map(reach)));
  const share = v => `${(v / most * 100).toFixed(2)}%`;
  const row = r => el("div", { class: "row", title: r.tip },
    el("span", { class: "label", title: r.label }, r.label),
    r.words !== undefined ? el("span", { class: "words" }, r.words)
      : el("span", { class: "track" },
        el("span", { class: "room" },
          el("span", { class: "bar" }, r.parts.map(([v, c]) => {
            const part = el("span", { class: "part" });
            part.style.width = share(v);
            part.style.background = c;
            return part;
          })),
          r.hi === undefined ? null : interval(share(r.lo), share(Math.max(0, r.hi - r.lo)))),
        el("span", { class: "note", title: r.note }, r.note || "")));
  const body = el("div", { class: "bars" },
    legend.length ? el("div", { class: "legend" }, legend.map(([name, c]) => {
      const box = el("span", { class: "box" });
      box.style.background = c;
      return el("span", {}, box, name);
    })) : null,
    blocks.map(b => [heading(b), b.rows.map(row)]));
  return figure(title, sub, body, source);
}

function heading(block) {
  const name = el("div", { class: "heading", "data-series": block.name }, block.name);
  if (block.look !== undefined) name.style.color = colour(block.look);
  return name;
}

function interval(left, width) {
  const mark = el("span", { class: "interval" });
  mark.style.left = left;
  mark.style.width = width;
  return mark;
}

/** `source`: a line of small print for each run that is shown. */
function figure(title, sub, body, source) {
  return el("figure", {}, el("figcaption", {}, el("b", {}, title), el("span", {}, sub)), body,
    el("div", { class: "source" }, source.map(line => el("div", {}, line))));
}

/** What stands in a chart's place: why it is not there. */
function absent(title, why) {
  return el("p", { class: "absent" }, `${title}: ${why}.`);
}
