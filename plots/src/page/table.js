"use strict";
// The raw cells: sorted, filtered, a page at a time, and as text for a mail.

const PAGE = 100;
const KEYS = ["machine", "workload", "variant", "threads", "trial"];

/** The rows that the pickers and the filter leave, in order. */
function rowsOf(data, state) {
  const { at, trial, columns } = data.cells, rows = [];
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  at.forEach(([s, t, g], i) => {
    const set = data.sets[s], track = set.tracks[t];
    const key = [set.machine, set.workload, data.tracks[track.t].name, track.g[g].n, trial[i]];
    if (!picked(state.m, key[0]) || !picked(state.w, key[1]) || !picked(state.v, key[2])) return;
    const text = key.slice(0, 3).join(" ").toLowerCase() + ` ${key[3]}`;
    if (words.every(word => text.includes(word))) {
      rows.push({ key, values: columns.map(c => c.v[i]) });
    }
  });
  return sorted(rows, data, state.sort);
}

/** `sort` is a column's name, with "-" before it for descending. */
function sorted(rows, data, sort) {
  const down = sort.startsWith("-"), name = down ? sort.slice(1) : sort;
  const key = KEYS.indexOf(name), column = data.cells.columns.findIndex(c => c.name === name);
  if (key < 0 && column < 0) return rows;
  const value = row => (key >= 0 ? row.key[key] : row.values[column]);
  const order = (a, b) => {
    const x = value(a), y = value(b);
    if (x === null || y === null) return (x === null) - (y === null);
    return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
  };
  return rows.slice().sort(order);
}

function table(data, state, update) {
  const rows = rowsOf(data, state), pages = Math.max(1, Math.ceil(rows.length / PAGE));
  const page = Math.min(state.page, pages - 1);
  const names = KEYS.concat(data.cells.columns.map(c => c.name));
  const order = name => (state.sort === name ? "ascending" : state.sort === "-" + name ? "descending" : null);
  const head = names.map((name, i) => el("th", { "aria-sort": order(name), scope: "col", class: i > 2 ? "number" : null },
    el("button", { "data-sort": name, onclick: () => update({ sort: state.sort === name ? "-" + name : name, page: 0 }) },
      name, { ascending: " ▲", descending: " ▼" }[order(name)] || "")));
  const line = row => el("tr", {},
    row.key.map((k, i) => el("td", { class: i > 2 ? "number" : null }, String(k))),
    row.values.map(v => el("td", { class: "number" }, v === null ? "–" : v.toLocaleString("en", { maximumSignificantDigits: 6 }))));
  const turn = (to, name, label) => el("button", { "aria-label": label, onclick: () => update({ page: to }),
    disabled: to < 0 || to >= pages ? "" : null }, name);
  return [
    el("div", { class: "tools" },
      el("span", { id: "count" }, `${rows.length} of ${data.cells.at.length} cells`),
      turn(page - 1, "‹", "previous page"), el("span", {}, `page ${page + 1} of ${pages}`), turn(page + 1, "›", "next page"),
      el("button", { id: "copy", onclick: () => copy(mail(data, state)) }, "Copy as mail")),
    el("div", { class: "scroll" }, el("table", { id: "cells" }, el("thead", {}, el("tr", {}, head)),
      el("tbody", {}, rows.slice(page * PAGE, (page + 1) * PAGE).map(line)))),
    el("textarea", { id: "mail", hidden: "", readonly: "", rows: 16, cols: 76, "aria-label": "table as mail" }),
  ];
}

/** The picked points as plain text: 72 columns, spaces only, no line a mailer could eat. */
function mail(data, state) {
  const lines = ["swapscale: throughput, operations per second", ""];
  const sets = data.sets.filter(s => picked(state.m, s.machine) && picked(state.w, s.workload));
  for (const run of unique(sets.flatMap(s => s.runs)).map(i => data.runs[i])) {
    lines.push(...wrap(run.source), ...wrap(`  ${run.command}`));
  }
  for (const set of sets) {
    const tracks = set.tracks.filter(t => picked(state.v, data.tracks[t.t].name));
    if (!tracks.length) continue;
    lines.push("", ...wrap(ascii(set.conditions) + ":"),
      " " + "variant".padEnd(26) + "thr".padStart(4) + "median".padStart(11) + "95 % interval, (range)".padStart(24) + "n".padStart(5));
    for (const track of tracks) {
      for (const g of track.g) {
        const between = `${plainNumber(g.x[1])} .. ${plainNumber(g.x[2])}`;
        const ends = g.k < 2 ? "single trial" : g.x[3] ? `(${between})` : between;
        lines.push(" " + clipAscii(data.tracks[track.t].name, 26).padEnd(26) + String(g.n).padStart(4)
          + plainNumber(g.x[0]).padStart(11) + ends.padStart(24) + String(g.k).padStart(5));
      }
    }
  }
  return lines.join("\n") + "\n";
}

const ascii = text => text.replace(/·/g, "-").replace(/[^\x20-\x7e]/g, "?");
const clipAscii = (text, n) => { const t = ascii(text); return t.length > n ? t.slice(0, n - 1) + "~" : t; };
const plainNumber = v => String(Math.round(v));

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
