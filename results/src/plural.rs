//! A number and its noun, in tables as in charts. Guards against "1 threads".

/// `1 thread`, `2 threads`.
pub fn plural(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        assert_eq!([0, 1, 2].map(|n| plural(n, "trial")), ["0 trials", "1 trial", "2 trials"]);
    }
}
