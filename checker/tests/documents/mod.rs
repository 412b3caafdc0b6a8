//! Parts of documents that a test writes. Guards that there is one way to mark them.

/// `text` with `now` between `<!-- mark -->` and `<!-- end -->`, if it has the mark.
pub fn refilled(text: &str, mark: &str, now: &str) -> String {
    let begin = format!("<!-- {mark} -->\n");
    match text.split_once(&begin) {
        None => text.into(),
        Some((before, rest)) => {
            let (_, after) = rest.split_once("<!-- end -->").expect("the part ends");
            format!("{before}{begin}{now}<!-- end -->{after}")
        }
    }
}
