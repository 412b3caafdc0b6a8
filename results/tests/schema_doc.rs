//! `docs/results-schema.md` is made from `src/schema.rs` and `src/example.rs`: the
//! tables are the types' own doc comments. This test fails when they drift apart.
//!
//! To write it anew: `UPDATE_GOLDEN=1 cargo test -p results --test schema_doc`.

use std::fmt::Write;
use std::path::Path;

use results::{example, schema};

const SOURCE: &str = include_str!("../src/schema.rs");

/// A field or variant: its doc comment, name and type.
struct Field {
    name: String,
    kind: String,
    doc: String,
}

/// A public struct or enum that stands in a file.
struct Type {
    name: String,
    doc: String,
    fields: Vec<Field>,
}

/// The types of the schema. The source is rustfmt's, so a line-wise reader is
/// enough: a doc comment, then the item it belongs to.
fn types() -> Vec<Type> {
    let mut types: Vec<Type> = Vec::new();
    let mut doc: Vec<String> = Vec::new();
    for line in SOURCE.lines().take_while(|line| !line.starts_with("#[cfg(test)]")) {
        let text = line.trim();
        if let Some(comment) = text.strip_prefix("/// ") {
            doc.push(comment.to_owned());
            continue;
        }
        if text.starts_with("#[") {
            continue;
        }
        let said = std::mem::take(&mut doc).join(" ");
        let item = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "));
        if let Some(name) = item {
            let name = name.trim_end_matches(" {").to_owned();
            types.push(Type { name, doc: said, fields: Vec::new() });
        } else if let (Some(last), false) = (types.last_mut(), said.is_empty())
            && let Some((name, kind)) = text.trim_start_matches("pub ").split_once(": ")
            && !text.contains("fn ")
        {
            let (name, kind) = (name.to_owned(), kind.trim_end_matches(',').to_owned());
            last.fields.push(Field { name, kind, doc: said });
        }
    }
    types
}

/// A Rust type in the words of JSON.
fn json_type(kind: &str) -> String {
    let inner = |prefix: &str| kind.strip_prefix(prefix).and_then(|rest| rest.strip_suffix('>'));
    if let Some(of) = inner("Option<") {
        return format!("{} or null", json_type(of));
    }
    if let Some(of) = inner("Vec<") {
        return format!("array of {}", json_type(of));
    }
    if let Some(of) = inner("Reading<") {
        return format!("{} or `{{\"unknown\": reason}}`", json_type(of));
    }
    if let Some(of) = inner("BTreeMap<String, ") {
        return format!("object of {}", json_type(of));
    }
    match kind {
        "u32" | "u64" => "integer".into(),
        "f64" => "number".into(),
        "bool" => "true or false".into(),
        "String" => "string".into(),
        "(u64, f64)" => "[integer, number]".into(),
        "serde_json::Value" => "anything".into(),
        named => format!("[{named}](#{})", named.to_lowercase()),
    }
}

fn page() -> String {
    let mut page = HEAD.replace("{SCHEMA}", &schema::SCHEMA.to_string());
    let cell = serde_json::to_string_pretty(&example::cell()).unwrap();
    let run = serde_json::to_string_pretty(&example::run()).unwrap();
    write!(page, "\n## An example\n\nMade-up figures. `run.json`:\n\n```json\n{run}\n```\n")
        .unwrap();
    write!(page, "\nOne line of `cells.jsonl`, spread out:\n\n```json\n{cell}\n```\n").unwrap();
    page += "\n## The types\n";
    for item in types() {
        let name = item.name.split('<').next().unwrap();
        write!(page, "\n### {name}\n\n{}\n", item.doc).unwrap();
        if item.fields.is_empty() {
            continue;
        }
        page += "\n| field | type | meaning |\n| --- | --- | --- |\n";
        for field in item.fields {
            let kind = json_type(&field.kind);
            writeln!(page, "| `{}` | {kind} | {} |", field.name, field.doc).unwrap();
        }
    }
    page + QUERIES
}

#[test]
fn the_page_is_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/results-schema.md");
    let page = page();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(page == written, "{} has drifted; see the head of this test", path.display());
}

/// The reader above sees every field: each key of the example is in a table.
#[test]
fn every_field_of_the_example_is_documented() {
    let known: Vec<String> =
        types().into_iter().flat_map(|item| item.fields).map(|field| field.name).collect();
    let cell = serde_json::to_value(example::cell()).unwrap();
    let run = serde_json::to_value(example::run()).unwrap();
    let parts = [
        &cell,
        &cell["key"],
        &cell["kinds"]["alloc"],
        &cell["kinds"]["alloc"]["latency"],
        &cell["sites"][0],
        &cell["counters"]["cycles"],
        &cell["counters"]["context-switches"],
        &cell["noise"],
        &cell["swapoff"][0],
        &cell["swapoff"][0]["steps"][0],
        &cell["series"][0],
        &cell["lines"][0],
        &run,
        &run["machine"],
        &run["environment"],
        &run["probe"],
    ];
    for part in parts {
        for name in part.as_object().unwrap().keys() {
            assert!(known.contains(name), "{name} is in no table");
        }
    }
}

const HEAD: &str = r#"# What a run is on disk

<!-- Generated from results/src/schema.rs by the test results/tests/schema_doc.rs. -->

Schema version {SCHEMA}. A run is a directory, `<utc-time>-<host>-<label>/`:

| file | holds |
| --- | --- |
| `run.json` | one [Run](#run): plan, environment, the command that repeats it |
| `cells.jsonl` | one [Cell](#cell) a line, in the order they were measured |
| `NNNNN.hlog` | the histograms of the cell with that `order_in_run`: an [HdrHistogram](http://hdrhistogram.org) interval log (V2, deflate, base64; times in s, values in ns; `Tag=alloc` is service time, `Tag=alloc.response` response time, `Tag=alloc.parts` either by parts of the time, within an eighth) |

Rules for writers: the directory appears whole, a cell's line is synced before the
next cell starts, fields stand in the order below, maps are sorted by key, floats
have six significant digits, times are integer ns. Rules for readers: unknown fields
are ignored, a last line without a newline was torn by a crash and is dropped, any
other damage is an error that names the file and the line, a newer schema is refused.
A value that could not be had is `null` or has its reason; it is never 0.
"#;

const QUERIES: &str = r#"
## Asking questions of a run

With [jq](https://jqlang.org), from the run's directory. Median throughput of
every point (of an even number of trials the upper middle):

```sh
jq -s -r '
  group_by(.key | [.workload, .params, .lock, .variant, .threads])[]
  | (.[0].key | [.workload, .lock, .variant, .threads])
    + [map(.ops_per_s) | sort | .[length / 2 | floor]]
  | @tsv' cells.jsonl
```

Lock sites by total wait, in ms:

```sh
jq -s -r '
  [.[] | .key.variant as $variant | .sites[] | {$variant, lock, caller, wait_total_ns}]
  | group_by([.variant, .lock, .caller])
  | map([.[0].variant, .[0].lock, .[0].caller, (map(.wait_total_ns) | add / 1e6)])
  | sort_by(-.[3])[] | @tsv' cells.jsonl
```

Why a counter is missing:

```sh
jq -r '.counters | to_entries[] | select(.value.unsupported)
  | "\(.key): \(.value.unsupported)"' cells.jsonl | sort -u
```

With [DuckDB](https://duckdb.org), over any number of runs at once:

```sql
-- throughput of every point: median, spread, number of trials
SELECT key.machine, key.workload, key.params, key.lock, key.variant, key.threads,
       median(ops_per_s) AS ops_per_s, mad(ops_per_s) AS mad, count(*) AS trials
FROM read_json('*/cells.jsonl', format = 'newline_delimited')
GROUP BY ALL ORDER BY ALL;

-- tails by operation kind (an object with any keys is read as a map)
SELECT key.machine, key.workload, key.variant, key.threads, kind.key AS kind,
       median(kind.value.latency.p99) AS p99_ns
FROM read_json('*/cells.jsonl', format = 'newline_delimited',
               columns = {key: 'STRUCT(machine VARCHAR, workload VARCHAR, variant VARCHAR, threads INT)',
                          kinds: 'MAP(VARCHAR, STRUCT(latency STRUCT(p99 BIGINT)))'}),
     unnest(map_entries(kinds)) AS entry(kind)
GROUP BY ALL ORDER BY ALL;

-- runs that another governor may have bent
SELECT id, environment->>'governor' AS governor, environment->>'kernel' AS kernel
FROM read_json('*/run.json', columns = {id: 'VARCHAR', environment: 'JSON'});
```
"#;
