"use strict";
// The raw cells: sorted, filtered, a page at a time, and as text for a mail. Guards that the mail says
// what the table shows, and that a key in the filter draws the table alone.

const PAGE = 100;
const KEYS = ["machine", "workload", "variant", "threads", "trial"];

/** Every cell with its key and the text that a filter looks in: made once. */
const ROWS = (() => {
  const { at, trial } = DATA.cells;
  return at.map(([s, t, g], i) => {
    const set = DATA.sets[s], track = set.tracks[t], label = DATA.runs[set.runs[0]].label;
    const key = [set.machine, set.workload, DATA.tracks[track.t].name, track.g[g].n, trial[i]];
    const params = FACETS.map(f => valueOf(set, f)).filter(v => v !== "none").join(" ");
    return { i, s, t, g, key, name: key[2], text: `${key.slice(0, 4).join(" ")} ${params} ${label}`.toLowerCase() };
  });
})();

/** The rows that the facets and the filter leave, in order. */
function rowsLeft() {
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean), sets = new Set(pickedWorkloads().flatMap(setsOf).map(s => DATA.sets.indexOf(s)));
  const left = ROWS.filter(r => sets.has(r.s) && picked(r.name) && words.every(word => r.text.includes(word)));
  return sorted(left, state.sort);
}

/** `sort` is a column's name, with "-" before it for descending. */
function sorted(rows, sort) {
  const down = sort.startsWith("-"), name = down ? sort.slice(1) : sort;
  const key = KEYS.indexOf(name), column = DATA.cells.columns.findIndex(c => c.name === name);
  if (key < 0 && column < 0) return rows;
  const value = row => (key >= 0 ? row.key[key] : DATA.cells.columns[column].v[row.i]);
  const order = (a, b) => {
    const x = value(a), y = value(b);
    if (x === null || y === null) return (x === null) - (y === null);
    return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
  };
  return rows.slice().sort(order);
}

/** One for all: making it takes longer than using it. */
const SIX = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });

function table() {
  const data = DATA, rows = rowsLeft(), pages = Math.max(1, Math.ceil(rows.length / PAGE));
  const page = Math.min(state.page, pages - 1);
  const names = KEYS.concat(data.cells.columns.map(c => c.name));
  const order = name => (state.sort === name ? "ascending" : state.sort === "-" + name ? "descending" : null);
  const head = names.map((name, i) => el("th", { "aria-sort": order(name), scope: "col", class: i > 2 ? "number" : null },
    el("button", { "data-sort": name, onclick: () => update({ sort: state.sort === name ? "-" + name : name, page: 0 }) },
      name, { ascending: " ▲", descending: " ▼" }[order(name)] || "")));
  const number = v => el("td", { class: "number" }, v === null ? "–" : SIX.format(v));
  const line = row => el("tr", {},
    row.key.map((k, i) => el("td", { class: i > 2 ? "number" : null }, String(k))), data.cells.columns.map(c => number(c.v[row.i])));
  const turn = (to, name, label) => el("button", { "aria-label": label, "data-pick": label, onclick: () => update({ page: to }),
    disabled: to < 0 || to >= pages ? "" : null }, name);
  return [
    el("div", { class: "tools" },
      el("span", { id: "count", role: "status" }, `${rows.length} of ${data.cells.at.length} cells`),
      turn(page - 1, "‹", "previous page"), el("span", {}, `page ${page + 1} of ${pages}`), turn(page + 1, "›", "next page"),
      el("button", { id: "copy", onclick: () => copy(mail()) }, "Copy as mail")),
    scroller("raw cells", el("table", { id: "cells" }, el("thead", {}, el("tr", {}, head)),
      el("tbody", {}, rows.slice(page * PAGE, (page + 1) * PAGE).map(line)))),
    el("textarea", { id: "mail", hidden: "", readonly: "", rows: 16, cols: 76, "aria-label": "table as mail" }),
  ];
}

/**
 * The points of the rows that are left, as plain text: 72 columns, spaces only, no line a mailer could
 * eat. Each with how many times its base it is, and ~ where `compare` cannot tell the two apart.
 */
function mail() {
  const rows = rowsLeft(), sets = unique(rows.map(r => r.s)).map(i => DATA.sets[i]);
  const lines = ["swapscale: throughput in Mops/s, and how many times the base", ...(state.q ? wrap(`filter: ${state.q}`) : []), ""];
  for (const run of unique(sets.flatMap(s => s.runs)).map(i => DATA.runs[i])) {
    lines.push(...wrap(run.source), ...wrap(`  ${run.command}`));
  }
  for (const set of sets) {
    const here = rows.filter(r => DATA.sets[r.s] === set);
    lines.push("", ...wrap(ascii(set.conditions) + ":"),
      " " + "variant".padEnd(22) + "thr".padStart(4) + "Mops/s".padStart(8) + "95 % (range)".padStart(15) + "n".padStart(4) + "ratio".padStart(8) + " base");
    for (const t of unique(here.map(r => r.t))) {
      for (const g of unique(here.filter(r => r.t === t).map(r => r.g))) lines.push(mailLine(set, set.tracks[t], set.tracks[t].g[g]));
    }
  }
  return [...lines, "", "~: compare cannot tell the two apart. (ratio): fewer than 6 trials.", "!: does not stand without the trials hit from outside.", ""].join("\n");
}

/** A base by its release, where it has one: a line has no room for more. */
const release = name => (/^\d/.test(name) ? name.split(" ")[0] : name);

function mailLine(set, track, g) {
  const mops = v => (v / 1e6).toPrecision(3), base = baseOf(set, track), r = base && ratioOf(set, track, base, g.n);
  const between = `${mops(g.x[1])}..${mops(g.x[2])}`, range = g.k < 2 ? "single trial" : g.x[3] ? `(${between})` : between;
  const ratio = r && (r.few ? `(${two(r.ratio)})` : two(r.ratio) + (r.verdict === 0 ? "~" : r.stands ? "" : "!"));
  const left = " " + clipAscii(nameOf(track), 22).padEnd(22) + String(g.n).padStart(4) + mops(g.x[0]).padStart(8) + range.padStart(15) + String(g.k).padStart(4);
  return (r ? `${left} ${ratio.padStart(7)} ${clipAscii(release(nameOf(base)), 71 - left.length - 8)}` : left);
}

const ascii = text => text.replace(/·/g, "-").replace(/[^\x20-\x7e]/g, "?");
const clipAscii = (text, n) => { const t = ascii(text); return t.length > n ? t.slice(0, n - 1) + "~" : t; };

/** Lines of at most 72 columns, broken at spaces where there are any. */
function wrap(text) {
  const lines = [];
  let rest = ascii(text);
  while (rest.length > 72) {
    const space = rest.lastIndexOf(" ", 70), cut = space > 20 ? space : 70;
    lines.push(rest.slice(0, cut));
    rest = "    " + rest.slice(cut).trimStart();
  }
  return lines.concat(rest);
}

/** Shows the text, selected, and tries to put it on the clipboard too. */
function copy(text) {
  const area = document.getElementById("mail");
  area.textContent = text;
  area.hidden = false;
  area.select();
  if (navigator.clipboard) navigator.clipboard.writeText(text).catch(() => {});
}
