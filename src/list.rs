//! `swapscale list`: what can be named in a plan.

use std::process::ExitCode;

use bench_harness::backing::Backing;
use bench_harness::workload;
use checker::faults;
use machine::lock;
use machine::simulated::Model;
use results::tables::terminal::WIDTH;
use results::tables::text::wrap;
use serde_json::json;
use variants::registry;

use crate::{Answer, print};

#[derive(clap::Args)]
pub struct Args {
    /// Print a JSON object of lists
    #[arg(long)]
    json: bool,
}

/// (what, [(id, about)])
type Section = (&'static str, Vec<(&'static str, String)>);

fn sections() -> Vec<Section> {
    let variants = registry::VARIANTS.iter().map(|v| {
        let releases = match v.releases {
            [] => String::new(),
            some => format!("Linux {}: ", some.join(", ")),
        };
        (v.name, releases + if v.ablation { "(ablation) " } else { "" } + v.about)
    });
    let locks = lock::KINDS.iter().map(|(id, about)| (*id, about.to_string()));
    let workloads = workload::LIST.iter().map(|entry| (entry.id, entry.about.to_owned()));
    let models = Model::names().map(|name| {
        let cpus = Model::load(name).map_or(0, |model| model.cpus());
        (name, format!("simulated: {cpus} CPUs"))
    });
    let backings = Backing::names().map(|name| {
        (name, Backing::load(name).map_or_else(|error| error, |backing| backing.title))
    });
    let own = [("native", "this host's CPUs"), ("kernel", "this host's kernel, live")];
    let machines = own.map(|(id, about)| (id, about.to_owned())).into_iter().chain(models);
    vec![
        ("machines", machines.collect()),
        ("variants", variants.collect()),
        ("locks", locks.collect()),
        ("workloads", workloads.collect()),
        ("backings", backings.collect()),
        ("faults", faults::FAULTS.iter().map(fault).collect()),
    ]
}

/// A fault that `swapscale check` can put back, and its variants.
fn fault(fault: &faults::Fault) -> (&'static str, String) {
    let number =
        if fault.number.is_empty() { String::new() } else { format!("#{}: ", fault.number) };
    (fault.name, format!("{number}{} ({})", fault.shows, fault.subjects.join(", ")))
}

pub fn run(args: &Args) -> Answer {
    let sections = sections();
    print(&if args.json { as_json(&sections)? } else { as_text(&sections) })?;
    Ok(ExitCode::SUCCESS)
}

fn as_json(sections: &[Section]) -> Result<String, serde_json::Error> {
    let entry = |(id, about): &(&str, String)| json!({ "id": id, "about": about });
    let list = |(what, entries): &Section| {
        (what.to_string(), entries.iter().map(entry).collect::<serde_json::Value>())
    };
    let all: serde_json::Map<_, _> = sections.iter().map(list).collect();
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}

fn as_text(sections: &[Section]) -> String {
    let width = sections.iter().flat_map(|(_, entries)| entries).map(|(id, _)| id.len()).max();
    let width = width.unwrap_or(0);
    let mut text = String::new();
    for (what, entries) in sections {
        text += &format!("{what}\n");
        for (id, about) in entries {
            let line = format!("  {id:width$}  {about}");
            text += &(wrap(&line, WIDTH, &" ".repeat(width + 4)).join("\n") + "\n");
        }
    }
    text
}
