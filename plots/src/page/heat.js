"use strict";
// The whole answer at first sight: each workload at each number of threads, every scheme against its
// base. Guards that a tile's colour is its ratio alone, and that what `compare` cannot tell says so.

/** Numbers of threads that a scheme has columns of. */
const COLUMNS = 6;

/** The numbers of threads with a column: from the least to the most by even ratios, those that most sets have. */
function columnsOf(sets) {
  const countsOf = s => unique(s.tracks.flatMap(t => t.g.map(g => g.n))), per = sets.map(countsOf);
  const all = unique(per.flat()).sort((a, b) => a - b), [lo, hi] = [all[0], all[all.length - 1]];
  if (all.length <= COLUMNS) return all;
  const share = n => per.filter(list => list.includes(n)).length / per.length;
  const cost = (n, v) => Math.abs(Math.log2(n / v)) - 2 * share(n);
  const near = v => all.reduce((best, n) => (cost(n, v) < cost(best, v) ? n : best));
  return unique([lo, ...Array.from({ length: COLUMNS }, (_, i) => near(lo * (hi / lo) ** (i / (COLUMNS - 1)))), hi]).sort((a, b) => a - b);
}

/** The schemes that some set can hold against a base: those of releases, unless others are picked. */
function schemesOf(sets) {
  const has = name => sets.some(s => s.tracks.some(t => nameOf(t) === name && baseOf(s, t)));
  const all = VARIANTS.filter(name => picked(name) && has(name)), released = all.filter(isReleased);
  return state.v.length || !released.length ? all : released;
}

/** Two digits, as a ratio of some trials deserves. */
const two = v => (v >= 9.95 ? String(Math.round(v)) : v >= 0.995 ? v.toFixed(1) : v.toFixed(2));

/** The tile's ground: nothing at 1, all of it at 4 times and more or a quarter and less. */
function ground(ratio) {
  const far = Math.max(-1, Math.min(1, Math.log2(ratio) / 2));
  return `color-mix(in srgb, var(--${far < 0 ? "less" : "more"}) ${Math.round(Math.abs(far) * 55)}%, var(--paper))`;
}

function tile(set, name, threads, label) {
  const track = set.tracks.find(t => nameOf(t) === name), base = track && baseOf(set, track);
  const r = base && ratioOf(set, track, base, threads);
  if (!r) return { r: null, node: el("td", { class: "blank", role: "gridcell" }, el("span", { class: "hidden" }, "not run")) };
  const mark = r.few ? "" : r.verdict === 0 ? "~" : "";
  const words = `${label}, ${counted(threads, "thread")}: ${clause(name, nameOf(base), r, set.predicted ? "is predicted to do" : "does")}`;
  const node = el("td", { class: r.few ? "tile few" : "tile", role: "gridcell", tabindex: -1, title: words, "aria-label": words,
    "data-tile": [set.workload, set.machine, name, threads].join(" "), onclick: () => toCharts(set) },
    mark + two(r.ratio) + (r.stands ? "" : "!"));
  node.style.background = ground(r.verdict === 0 && !r.few ? 1 : r.ratio);
  return { r, node };
}

/** A tile leads to the charts of its workload and conditions. */
function toCharts(set) {
  update({ w: set.workload, page: 0 });
  document.getElementById("scaling").scrollIntoView();
  document.querySelector("#scaling svg.lines")?.focus({ preventScroll: true });
}

/** The words of a row: the workload, and what tells it from the other rows of the workload. */
function rowLabel(set, sets) {
  const alike = sets.filter(s => s.workload === set.workload);
  const told = FACETS.filter(f => unique(alike.map(s => valueOf(s, f))).length > 1).map(f => `${f} ${valueOf(set, f)}`);
  const runs = unique(alike.map(s => s.runs[0])).length > 1 && state.run === "*" ? [DATA.runs[set.runs[0]].label] : [];
  return [set.workload, ...told, ...runs].join(", ");
}

/** The range of ratios under a scheme. */
function rangeText(ratios) {
  const [lo, hi] = [Math.min(...ratios), Math.max(...ratios)].map(two);
  return lo === hi ? `${lo}×` : `${lo} to ${hi}×`;
}

/** One machine's map, or null where nothing of it can be compared. */
function heatOf(machine, all) {
  const sets = all.filter(s => s.machine === machine && schemesOf([s]).length), counts = columnsOf(sets);
  const tiles = set => schemesOf(sets).map(name => counts.map(n => tile(set, name, n, rowLabel(set, sets))));
  const rows = sets.map(set => ({ set, tiles: tiles(set) })).filter(row => row.tiles.flat().some(t => t.r));
  if (!rows.length) return null;
  // A scheme has the columns that some row of it fills.
  const schemes = schemesOf(sets).map((name, i) => {
    const filled = counts.map((_, k) => k).filter(k => rows.some(row => row.tiles[i][k].r));
    return { name, i, filled, ratios: rows.flatMap(row => row.tiles[i].filter(t => t.r).map(t => t.r.ratio)) };
  }).filter(scheme => scheme.filled.length);
  const ends = unique([0, schemes.length - 1]).map(i => `${schemes[i].name} ${rangeText(schemes[i].ratios)}`);
  const title = `${sets[0].predicted ? "Predicted" : "Measured"}: times the throughput of ${state.b || "the scheme before"}: ${ends.join(", ")}`;
  const hardware = unique(unique(sets.flatMap(s => s.runs)).map(i => DATA.runs[i].hardware)).slice(0, 2).join("; ");
  return el("figure", { class: "map" }, el("figcaption", {}, el("b", {}, title), el("span", {}, hardware)),
    el("div", { class: "scroll" }, mapTable(title, sets, schemes, counts, rows)));
}

function mapTable(title, sets, schemes, counts, rows) {
  const edge = (k, more = "") => (k ? "number" : `number first${more}`);
  const head = [
    el("tr", {}, el("td", {}), schemes.map(s => el("th", { scope: "colgroup", colspan: s.filled.length, class: "first" },
      s.name, el("span", { class: "range" }, rangeText(s.ratios))))),
    el("tr", {}, el("th", { scope: "col" }, "threads"), schemes.map(s => s.filled.map((k, nth) => el("th", { scope: "col", class: edge(nth, " plain") }, String(counts[k]))))),
  ];
  const cells = (row, s) => s.filled.map((k, nth) => {
    const { node } = row.tiles[s.i][k];
    if (!nth) node.classList.add("first");
    return node;
  });
  const lines = rows.map(row => el("tr", { class: row.set.workload === state.w ? "here" : null },
    el("th", { scope: "row" }, rowLabel(row.set, sets)), schemes.map(s => cells(row, s))));
  const table = el("table", { class: "heat", role: "grid", "aria-label": `${title}. Arrow keys go from tile to tile, Enter shows the charts.` },
    el("thead", {}, head), el("tbody", {}, lines));
  gridKeys(table);
  return table;
}

/** One tab stop; arrow keys go along rows and columns over what is blank. */
function gridKeys(table) {
  const rows = [...table.querySelectorAll("tbody tr")].map(tr => [...tr.querySelectorAll("td")]);
  roving(table, ".tile", {});
  const first = table.querySelector(".tile");
  table.addEventListener("keydown", event => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); event.target.closest(".tile")?.click(); }
    if (!step) return;
    event.preventDefault();
    let y = rows.findIndex(row => row.includes(event.target)), x = rows[y].indexOf(event.target);
    do { y += step[0]; x += step[1]; } while (rows[y]?.[x] && !rows[y][x].matches(".tile"));
    (rows[y]?.[x] || event.target || first).focus();
  });
}

/** A map for each machine that is shown. */
function heatMaps() {
  const all = WORKLOADS.flatMap(setsOf), maps = unique(all.map(s => s.machine)).map(m => heatOf(m, all)).filter(Boolean);
  if (!maps.length) return [absent("Ratios", "needs two schemes of one run")];
  return [el("div", { class: "maps" }, maps),
    el("p", { class: "muted small" }, "Blue: more than the base. Orange: less. ~ cannot be told apart. ! does not stand without the trials hit from outside. "
      + "Italic: fewer than 6 trials, no verdict. Blank: not run. A tile leads to its charts.")];
}
