"use strict";
// Charts from plain descriptions: lines with their intervals, dots, and rows of bars. Guards that
// charts over the same x speak together: one crosshair, one brush, one series that stands out.

const PARTS = 7;

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

const NARROW = matchMedia("(max-width: 700px)");
/** A chart's own units: about the pixels of its column, so that its text is as large as the page's. */
const sizeOf = () => (NARROW.matches ? { width: 372, height: 320, top: 36, bottom: 52 } : { width: 640, height: 400, top: 40, bottom: 56 });
let SIZE = sizeOf();

/**
 * Lines with bands. `curves`: {name, look, hollow, dash, base, points: [{x, y, lo, hi, tip}]}, with
 * `marks: false` for a bare line and `stroke: false` for bare marks, which get no name;
 * `guides`: {points: [[x, y]], name}. A logarithmic y leaves out what is not positive. `x.link` is
 * what charts with one crosshair have in common.
 */
function lineChart({ title, sub, source, x, y, curves, guides = [] }) {
  if (y.kind === "log") curves = curves.map(positive);
  if (x.link) curves = curves.map(c => ({ ...c, points: zoomed(c.points, p => p.x) }));
  curves = curves.filter(c => c.points.length);
  if (!curves.length) return absent(title, "no point to show");
  const all = curves.flatMap(c => c.points);
  if (x.link) guides = within(guides, all);
  const xs = axis(x, all.map(p => p.x).concat(guides.flatMap(g => g.points.map(p => p[0]))));
  const ys = axis(y, all.flatMap(p => [p.y, p.lo ?? p.y, p.hi ?? p.y])
    .concat(guides.flatMap(g => g.points.map(p => p[1]))));
  const left = 14 + Math.max(...ys.ticks.map(t => (t.label || "").length)) * 9.4;
  const named = curves.filter(c => c.stroke !== false), names = named.map(c => clip(c.name, 24));
  const right = NARROW.matches ? SIZE.width - 12 : SIZE.width - 34 - Math.max(...names.map(n => n.length)) * 9.6;
  const at = (px, py) => [
    left + xs.at(px) * (right - left),
    SIZE.height - SIZE.bottom - ys.at(py) * (SIZE.height - SIZE.bottom - SIZE.top),
  ];
  const root = svg("svg", { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, tabindex: 0, role: "img", class: "lines",
    "aria-label": `${title}. ${sub}. ${spokenEnds(named, y, xs.name)} Arrow keys read the points, Enter shows one series alone${x.link ? ", + and - zoom" : ""}.` });
  frame(root, xs, ys, left, right, at);
  for (const guide of guides.filter(g => g.points.length)) {
    const points = guide.points.map(p => at(...p));
    root.append(svg("path", { d: "M" + points.map(flat).join("L"), class: "guide" }));
    const middle = points[Math.floor(points.length * 0.8)];
    root.append(svg("text", { x: middle[0] - 6, y: middle[1] - 5, class: "small", "text-anchor": "end" }, guide.name));
  }
  for (const curve of curves) if (curve.stroke !== false) root.append(band(curve, at) ?? "");
  for (const curve of curves) root.append(line(curve, at));
  if (!NARROW.matches) endLabels(root, named, names, at, right);
  crosshair(root, { curves, at, left, right, link: x.link, unit: xs.name, format: y.format || short });
  return figure(title, sub, [root, NARROW.matches ? legendOf(named) : null], source);
}

/** The points between the ends of the zoom, or all where fewer than two are. */
function zoomed(points, xOf) {
  if (!state.z) return points;
  const [lo, hi] = state.z.split("-").map(Number), kept = points.filter(p => xOf(p) >= lo && xOf(p) <= hi);
  return kept.length ? kept : points;
}

/** Guides no longer than the points. */
function within(guides, points) {
  const [lo, hi] = extent(points.map(p => p.x));
  return guides.map(g => ({ ...g, points: g.points.filter(p => p[0] >= lo && p[0] <= hi) }));
}

/** Where the series end, for those who cannot see the chart. */
function spokenEnds(curves, y, unit) {
  const said = curves.slice(0, 8).map(c => {
    const p = c.points[c.points.length - 1];
    return `${c.name} ${(y.format || short)(p.y)}`;
  });
  return `At the right end (${unit}): ${said.join(", ")}.`;
}

/** Names under a chart, where there is no room beside it. */
function legendOf(curves) {
  return el("div", { class: "legend" }, curves.map(c => el("span", { "data-isolate": c.name, class: faint(c.key) ? "faint" : null,
    onclick: () => isolate(c.key) }, swatch(c.look), c.name)));
}

/** Shows one series alone, or all again. */
const isolate = name => VARIANTS.includes(name) && update({ i: state.i === name ? "" : name });

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
  return svg("path", { d, fill: colour(curve.look), class: faint(curve.key) ? "band faint" : "band" });
}

function line(curve, at) {
  const plain = curve.marks === false;
  const g = svg("g", { "data-series": curve.name, class: faint(curve.key) ? "faint" : null, style: `--c:${colour(curve.look)}` });
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
  });
  return g;
}

/** Names at the ends of their lines, moved apart where they would overlap. */
function endLabels(root, curves, names, at, right) {
  const ends = curves.map((c, i) => {
    const p = c.points[c.points.length - 1], [x, y] = at(p.x, p.y);
    return { x, y, row: y, name: names[i], look: c.look, key: c.key };
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
    root.append(svg("text", { x: right + 19, y: end.row + 5, class: faint(end.key) ? "end faint" : "end", "data-isolate": end.name, onclick: () => isolate(end.key),
      style: `--c:${colour(end.look)};--size:${Math.max(8, 16 * gap / 19).toFixed(1)}px` }, end.name));
  }
}

/** Charts that are drawn, by what they have in common. */
let linked = [];

/**
 * A line at the x under the mouse, or that arrow keys went to, with every series at it and how many
 * times its base each is. Charts with one `link` have it together; a drag zooms them all.
 */
function crosshair(root, { curves, at, left, right, link, unit, format }) {
  const xs = unique(curves.flatMap(c => c.points.map(p => p.x))).sort((a, b) => a - b);
  const places = xs.map(x => at(x, curves[0].points[0].y)[0]);
  const rule = svg("line", { class: "cross", y1: SIZE.top, y2: SIZE.height - SIZE.bottom, visibility: "hidden" });
  const brush = svg("rect", { class: "brush", y: SIZE.top, height: SIZE.height - SIZE.bottom - SIZE.top, visibility: "hidden" });
  const rings = curves.map(() => svg("circle", { r: 7, class: "ring", visibility: "hidden" }));
  root.append(brush, rule, ...rings);
  const chart = { root, link, x: null, chosen: 0 };
  const nearest = px => places.reduce((best, p, i) => (Math.abs(p - px) < Math.abs(places[best] - px) ? i : best), 0);
  /** Points at an x, or so near to it that the eye sees one place. */
  const here = px => curves.map(c => {
    const p = c.points.reduce((best, q) => (!best || Math.abs(at(q.x, q.y)[0] - px) < Math.abs(at(best.x, best.y)[0] - px) ? q : best), null);
    return p && Math.abs(at(p.x, p.y)[0] - px) < 6 ? p : null;
  });
  const toUnits = event => { const box = root.getBoundingClientRect(); return (event.clientX - box.left) * SIZE.width / box.width; };
  chart.mark = x => {
    const i = xs.indexOf(x);
    chart.x = i < 0 ? null : i;
    const px = places[i], points = i < 0 ? [] : here(px);
    rule.setAttribute("visibility", i < 0 ? "hidden" : "visible");
    if (i >= 0) { rule.setAttribute("x1", px); rule.setAttribute("x2", px); }
    rings.forEach((ring, k) => {
      ring.setAttribute("visibility", points[k] ? "visible" : "hidden");
      if (points[k]) { const [cx, cy] = at(points[k].x, points[k].y); ring.setAttribute("cx", cx); ring.setAttribute("cy", cy); }
    });
    return points;
  };
  chart.brush = range => {
    brush.setAttribute("visibility", range ? "visible" : "hidden");
    if (!range) return;
    const [a, b] = range.map(x => places[nearest(at(Math.max(xs[0], Math.min(xs[xs.length - 1], x)), curves[0].points[0].y)[0])]);
    brush.setAttribute("x", a);
    brush.setAttribute("width", Math.max(1, b - a));
  };
  const together = act => (link ? linked.filter(c => c.link === link) : [chart]).forEach(act);
  const show = i => {
    const x = xs[Math.max(0, Math.min(xs.length - 1, i))];
    let points = [];
    together(c => { const got = c.mark(x); if (c === chart) points = got; });
    const box = root.getBoundingClientRect(), k = box.width / SIZE.width;
    tipAt(box.left + places[xs.indexOf(x)] * k, box.top + SIZE.top * k, crossText(x, unit, curves, points, format, chart.chosen));
  };
  const hide = () => { together(c => { c.mark(null); c.brush(null); }); hideTip(); };
  let from = null;
  root.addEventListener("pointermove", event => {
    const px = toUnits(event);
    if (px < left - 20 || px > right + 20) return hide();
    show(nearest(px));
    if (from !== null) together(c => c.brush([from, xs[nearest(px)]].sort((a, b) => a - b)));
  });
  root.addEventListener("pointerdown", event => { if (link && event.pointerType === "mouse" && event.button === 0) from = xs[nearest(toUnits(event))]; });
  root.addEventListener("pointerup", event => {
    const to = xs[nearest(toUnits(event))], start = from;
    from = null;
    if (start !== null && start !== to) zoomTo(start, to); else together(c => c.brush(null));
  });
  root.addEventListener("dblclick", () => link && state.z && update({ z: "" }));
  root.addEventListener("pointerleave", () => { from = null; hide(); });
  root.addEventListener("blur", hide);
  root.addEventListener("keydown", event => {
    const at = chart.x ?? -1, step = { ArrowRight: 1, ArrowLeft: -1 }[event.key], turn = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") { hide(); if (state.i) update({ i: "" }); }
    if (event.key === "Enter") isolate(curves[chart.chosen].key);
    if (link && event.key === "+" && xs.length > 2) zoomTo(xs[Math.max(0, at - 1)], xs[Math.min(xs.length - 1, Math.max(0, at) + 1)]);
    if (link && event.key === "-" && state.z) update({ z: "" });
    if (!step && !turn) return;
    event.preventDefault();
    if (turn) chart.chosen = (chart.chosen + turn + curves.length) % curves.length;
    show(at < 0 ? (step === -1 ? xs.length - 1 : 0) : at + (step || 0));
  });
  linked.push(chart);
}

/** Zooms all charts of one x to these ends, and what lies between. */
const zoomTo = (a, b) => a !== b && update({ z: [a, b].sort((x, y) => x - y).join("-") });

/** Every series at one x: value, trials and range, and how many times its base it is. */
function crossText(x, unit, curves, points, format, chosen) {
  const there = curves.map((c, i) => [c, points[i], i]).filter(([, p]) => p);
  const whole = x === null ? "" : unit === "threads" ? counted(x, "thread") : `${short(x)} ${unit}`;
  const valueAt = name => there.find(([c]) => c.key === name && c.stroke !== false)?.[1].y;
  const lines = there.map(([c, p, i]) => {
    const base = c.base && valueAt(c.base), ratio = base > 0 && c.base !== c.key ? `, ${short(p.y / base)} times ${c.base}` : "";
    return `${i === chosen ? "▸" : " "} ${c.name}: ${p.tip || format(p.y)}${ratio}`;
  });
  return [unit === "threads" ? whole : null, ...lines].filter(Boolean).join("\n");
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
  root.addEventListener("pointermove", event => {
    const box = root.getBoundingClientRect(), k = SIZE.width / box.width;
    const mx = (event.clientX - box.left) * k, my = (event.clientY - box.top) * k;
    let best = 0, least = Infinity;
    spots.forEach((s, i) => { const d = Math.hypot(s.x - mx, s.y - my); if (d < least) { least = d; best = i; } });
    if (least < 60) show(best); else hide();
  });
  root.addEventListener("pointerleave", hide);
  root.addEventListener("blur", hide);
  root.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") hide();
    if (!step) return;
    event.preventDefault();
    show(ring.getAttribute("visibility") === "hidden" ? current : current + step);
  });
}

/**
 * One row a quantity, one dot a series, on a logarithmic axis. `rows`: {label, dots: [{name, key, look,
 * y, lo, hi, tip}]}; what is not positive has no dot.
 */
function dotPlot({ title, sub, source, rows, format, name }) {
  const dots = rows.flatMap(r => r.dots).filter(d => d.y > 0);
  if (!dots.length) return absent(title, "no step took a time");
  const xs = axis({ kind: "log", name, format }, dots.flatMap(d => [d.y, d.lo > 0 ? d.lo : d.y, d.hi]));
  const series = unique(dots.map(d => d.name)), gap = Math.max(26, 9 * series.length + 6), top = 8, bottom = top + gap * rows.length;
  const left = Math.min(SIZE.width / 3, 16 + Math.max(...rows.map(r => r.label.length)) * 9.2), right = SIZE.width - 16;
  const height = bottom + 50, at = v => left + xs.at(v) * (right - left);
  const root = svg("svg", { viewBox: `0 0 ${SIZE.width} ${height}`, tabindex: 0, role: "img", "aria-label": `${title}. ${sub}. Arrow keys read the dots.` });
  let free = -Infinity;
  for (const tick of xs.ticks) {
    const x = at(tick.v), half = (tick.label || "").length * 5;
    root.append(svg("line", { x1: x, x2: x, y1: top, y2: bottom, class: tick.label ? "grid" : "grid minor" }));
    if (tick.label && x - half > free) { root.append(svg("text", { x, y: bottom + 20, "text-anchor": "middle" }, tick.label)); free = x + half + 6; }
  }
  root.append(svg("text", { x: (left + right) / 2, y: bottom + 43, class: "name", "text-anchor": "middle" }, `${name} (log scale)`));
  const spots = [];
  rows.forEach((row, i) => {
    const middle = top + gap * (i + 0.5);
    root.append(svg("line", { x1: left, x2: right, y1: middle + gap / 2, y2: middle + gap / 2, class: "grid minor" }));
    root.append(svg("text", { x: left - 8, y: middle + 5, "text-anchor": "end" }, row.label));
    row.dots.filter(d => d.y > 0).forEach(d => {
      const y = middle + (series.indexOf(d.name) - (series.length - 1) / 2) * 9, x = at(d.y);
      const g = svg("g", { "data-series": d.name, class: faint(d.key) ? "faint" : null, style: `--c:${colour(d.look)}` });
      if (d.hi > d.lo && d.lo > 0) g.append(svg("line", { class: "whisker", x1: at(d.lo), x2: at(d.hi), y1: y, y2: y }));
      g.append(svg("path", { d: marker(d.look, x, y, 4), class: d.hollow ? "mark hollow" : "mark" }));
      root.append(g);
      spots.push({ x, y, tip: `${row.label}, ${d.name}\n${d.tip}` });
    });
  });
  hover(root, spots);
  const looks = series.map(n => dots.find(d => d.name === n));
  return figure(title, sub, [legendOf(looks), root], source);
}

function tipAt(x, y, text) {
  const tip = document.getElementById("tip");
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - width - 8)) + "px";
  tip.style.top = (y - height - 12 > 4 ? y - height - 12 : Math.min(y + 24, Math.max(4, innerHeight - height - 8))) + "px";
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

/** A block's name in ink, which can be read, behind its scheme's look. */
function heading(block) {
  return el("div", { class: "heading", "data-series": block.name }, block.look ? swatch(block.look) : null, block.name);
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
