//! Which side is held against which. Guards that a scheme is compared with what the kernel had before
//! it, and not with whatever a plan lists first.

use std::collections::BTreeSet;

use crate::compare::Side;
use crate::scheme::{self, HISTORY};

/// Base and new.
pub(super) type Pair<'s, 'a> = (&'s Side<'a>, &'s Side<'a>);

/// Each variant against its predecessor in the kernel's history. One without is held against the oldest
/// that is there.
pub(super) fn by_history<'s, 'a>(sides: &'s [Side<'a>]) -> Vec<Pair<'s, 'a>> {
    let pair = |new: &'s Side<'a>| base_of(new, sides).map(|base| (base, new));
    sides.iter().filter_map(pair).collect()
}

fn base_of<'s, 'a>(new: &Side, sides: &'s [Side<'a>]) -> Option<&'s Side<'a>> {
    let there: Vec<&str> = sides.iter().map(|side| side.name.as_str()).collect();
    let base = scheme::predecessor(&new.name, &there).or_else(|| scheme::oldest(&there))?;
    sides.iter().find(|side| side.name == base && side.name != new.name)
}

/// The two sides that a text with one table is about, base first, and the names of those it leaves out:
/// of one run's variants the newest scheme of the kernel's history against its predecessor; where
/// `based` says that the first is the base, the newest scheme against that; of runs the first and the
/// last.
pub fn one_pair<'a>(sides: Vec<Side<'a>>, based: bool) -> (Vec<Side<'a>>, Vec<String>) {
    let chosen = match sides.as_slice() {
        [] | [_] => return (sides, Vec::new()),
        [first, rest @ ..] if based || !of_one_run(&sides) => {
            // Of names that are no scheme's the last.
            let new = rest.iter().max_by_key(|side| scheme::place(&side.name));
            [first.clone(), new.unwrap_or(first).clone()]
        }
        [first, .., last] => {
            let new = newest(&sides).unwrap_or(last);
            let base = base_of(new, &sides).unwrap_or(first);
            [base.clone(), new.clone()]
        }
    };
    let kept: BTreeSet<&str> = chosen.iter().map(|side| side.name.as_str()).collect();
    let others = sides.iter().filter(|side| !kept.contains(side.name.as_str()));
    let others = others.map(|side| side.name.clone()).collect();
    (chosen.into(), others)
}

/// The newest scheme that has a predecessor there; else the last variant that has one.
fn newest<'s, 'a>(sides: &'s [Side<'a>]) -> Option<&'s Side<'a>> {
    let there: Vec<&str> = sides.iter().map(|side| side.name.as_str()).collect();
    let follows = |name: &str| scheme::predecessor(name, &there).is_some();
    let known = HISTORY.iter().rev().filter(|(name, _)| follows(name));
    let scheme = known.map(|(name, _)| *name).find(|name| there.contains(name));
    match scheme {
        Some(scheme) => sides.iter().find(|side| side.name == scheme),
        None => sides.iter().rev().find(|side| follows(&side.name)),
    }
}

fn of_one_run(sides: &[Side]) -> bool {
    sides.iter().all(|side| std::ptr::eq(side.loaded, sides[0].loaded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Loaded;

    fn pairs(variants: &[&str]) -> (Vec<String>, Vec<String>) {
        let run = crate::example::run();
        let loaded = Loaded { dir: "".into(), run, cells: Vec::new(), notes: Vec::new() };
        let side =
            |name: &&str| Side { name: (*name).to_owned(), loaded: &loaded, cells: Vec::new() };
        let sides: Vec<Side> = variants.iter().map(side).collect();
        let named = |(base, new): &Pair| format!("{}<{}", base.name, new.name);
        let all = by_history(&sides).iter().map(named).collect();
        let (chosen, others) = one_pair(sides, false);
        (all, chosen.iter().map(|side| side.name.clone()).chain(others).collect())
    }

    #[test]
    fn the_base_is_the_predecessor_and_not_the_first_of_the_plan() {
        let (all, one) = pairs(&["global", "scanning", "percluster", "mine"]);
        assert_eq!(all, ["scanning<global", "scanning<percluster", "percluster<mine"]);
        assert_eq!(one, ["scanning", "percluster", "global", "mine"]);
        assert_eq!(
            pairs(&["swap-table", "per-device-table"]).1,
            ["swap-table", "per-device-table"]
        );
        let (all, one) = pairs(&["percluster", "percluster-rcu"]);
        assert_eq!((all.len(), one), (1, vec!["percluster".into(), "percluster-rcu".into()]));
        assert_eq!(pairs(&["a", "b"]).0, ["a<b"], "no history: the first");
        assert_eq!(pairs(&["a", "b", "c"]).1, ["a", "c", "b"]);
        assert_eq!(pairs(&["scanning"]).0.len(), 0);
    }
}
