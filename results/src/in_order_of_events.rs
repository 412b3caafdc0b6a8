//! Steps by name, of several sequences each of which may lack some, as one sequence. Guards that a
//! step which the first lacks stands where it happens, not at the end.

/// Each name once; one that is new stands behind the one before it in its own sequence.
pub fn in_order_of_events<'a, S>(sequences: impl IntoIterator<Item = S>) -> Vec<&'a str>
where
    S: IntoIterator<Item = &'a str>,
{
    let mut all: Vec<&str> = Vec::new();
    for sequence in sequences {
        let mut next = 0;
        for name in sequence {
            let at = all.iter().position(|known| *known == name).unwrap_or_else(|| {
                all.insert(next, name);
                next
            });
            next = at + 1;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_first_lacks_stands_in_its_place() {
        let (old, new) = (["block", "drain", "unuse", "free"], ["block", "barrier", "unuse"]);
        let longer = ["unuse", "scanning", "free", "end"];
        let all = in_order_of_events([old.as_slice(), &new, &longer].map(|s| s.iter().copied()));
        assert_eq!(all, ["block", "barrier", "drain", "unuse", "scanning", "free", "end"]);
    }
}
