//! The kernel's history as the variants model it. Guards that a scheme has one name, one place and one
//! predecessor in every table, chart and mail. A variant that is not of the kernel's history needs no
//! row: it goes by its own name.

/// The schemes of kernel releases, oldest first: variant, and the release that stands for it.
pub const HISTORY: [(&str, &str); 6] = [
    ("scanning", "6.12"),
    ("percluster", "6.14"),
    ("percpu-free-first", "6.16"),
    ("percpu-cluster", "6.18"),
    ("swap-table-early", "7.0"),
    ("swap-table", "7.3"),
];

/// 6.12's data structures under one lock: no kernel was like it.
pub const STRAWMAN: &str = "global";

/// Variations of a scheme: steps within one of the kernel's changes, and the strawman.
const VARIATIONS: [(&str, &str); 4] = [
    (STRAWMAN, "scanning"),
    ("scanning-ref", "scanning"),
    ("percluster-rcu", "percluster"),
    ("percluster-second-ref", "percluster"),
];

/// The variant's place in [`HISTORY`].
pub fn place(variant: &str) -> Option<usize> {
    HISTORY.iter().position(|(name, _)| *name == variant)
}

/// The scheme that the variant is a variation of.
pub fn variation_of(variant: &str) -> Option<&'static str> {
    VARIATIONS.iter().find(|(name, _)| *name == variant).map(|(_, of)| *of)
}

/// The variant as people see it: behind its release, as "6.14 percluster".
pub fn label(variant: &str) -> String {
    match place(variant) {
        Some(place) => format!("{} {variant}", HISTORY[place].1),
        None => variant.to_owned(),
    }
}

/// What a variant is compared with, of those that are `there`: the scheme that the kernel had before it,
/// or the nearest one before that. A variation has the scheme that it varies, and a variant of no
/// release the newest one that is there. `None` for the oldest.
pub fn predecessor<'a>(variant: &str, there: &[&'a str]) -> Option<&'a str> {
    let before = match (place(variant), variation_of(variant)) {
        (Some(place), _) => place,
        (None, Some(of)) => place(of)? + 1,
        (None, None) => HISTORY.len(),
    };
    let names = HISTORY[..before].iter().rev().map(|(name, _)| *name);
    names.into_iter().find_map(|name| there.iter().copied().find(|known| *known == name))
}

/// The base of a comparison of all `there`: the oldest scheme of the kernel's history, else the first.
pub fn oldest<'a>(there: &[&'a str]) -> Option<&'a str> {
    there.iter().copied().min_by_key(|name| place(name).unwrap_or(HISTORY.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_of_a_scheme_is_what_the_kernel_had_before() {
        let there = ["global", "scanning", "scanning-ref", "percluster", "swap-table", "mine"];
        let base = |variant| predecessor(variant, &there);
        assert_eq!(base("scanning"), None);
        assert_eq!(base("scanning-ref"), Some("scanning"));
        assert_eq!(base("percluster"), Some("scanning"));
        assert_eq!(base("swap-table"), Some("percluster"), "those between are not there");
        assert_eq!((base("mine"), base("global")), (Some("swap-table"), Some("scanning")));
        assert_eq!(oldest(&there), Some("scanning"), "not the strawman");
        assert_eq!((oldest(&["a", "b"]), oldest(&[])), (Some("a"), None));
    }

    #[test]
    fn a_scheme_is_called_by_its_release_too() {
        assert_eq!(label("percluster"), "6.14 percluster");
        assert_eq!(
            (label("global"), label("scanning-ref")),
            ("global".into(), "scanning-ref".into())
        );
    }
}
