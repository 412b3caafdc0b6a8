//! A race diagram as data: its lanes, its rows, and the drawn cells after each row, for a reader that goes
//! through it step by step. docs/faults.md describes it.

use checker::Order;
use checker::diagram::{Access, Diagram, Row};
use machine::checked::Op;
use serde_json::{Map, Value, json};

pub fn json(diagram: &Diagram) -> Value {
    let lanes = diagram.lanes.iter().map(|lane| json!({"cpu": lane.cpu, "role": lane.role}));
    let rows = diagram.rows.iter().zip(diagram.states());
    json!({
        "order": match diagram.order {
            Order::Sequential => "sequential",
            Order::Weak => "weak",
            Order::NotFound => "not found",
        },
        "remark": diagram.remark(),
        "lanes": lanes.collect::<Vec<_>>(),
        "window": diagram.window.map(|(from, to)| [from + 1, to + 1]),
        "initial": cells(&diagram.initial),
        "rows": rows.map(|(row, state)| step(row, &state)).collect::<Vec<_>>(),
        "violation": diagram.violation,
    })
}

fn step(row: &Row, state: &[(String, String)]) -> Value {
    json!({
        "lane": row.lane,
        "function": row.function,
        "text": row.text,
        "accesses": row.accesses.iter().map(access).collect::<Vec<_>>(),
        "held": row.held,
        "state": cells(state),
    })
}

fn access(access: &Access) -> Value {
    let op = match access.op {
        Op::Load | Op::Get => "read",
        Op::Store | Op::Set => "write",
        Op::Rmw { .. } => "change",
        Op::Lock => "lock",
        Op::Wait => "wait",
        Op::Missed => "trylock fails",
        Op::Unlock => "unlock",
        Op::Note => "note",
    };
    json!({
        "cell": access.cell,
        "op": op,
        "found": access.found,
        "value": access.value,
        "stale": access.stale,
    })
}

fn cells(cells: &[(String, String)]) -> Map<String, Value> {
    cells.iter().map(|(cell, value)| (cell.clone(), json!(value))).collect()
}
