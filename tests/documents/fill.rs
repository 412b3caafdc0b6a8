//! Puts figures into a document: the gaps of a sentence, and the lines between a mark and its end.
//! Guards that a sentence that was reworded is noticed, and that a line break is not.

use std::ops::Range;

/// A gap in a sentence.
const GAP: &str = "{}";
/// The longest text that a gap may hold, bytes: a longer one is a sentence that was reworded.
const LONGEST: usize = 60;

/// A sentence of a document with gaps, and what stands in them.
pub struct Claim {
    pub sentence: &'static str,
    pub figures: Vec<String>,
}

/// `sentence` has a `{}` for each of `figures`. It begins and ends with a word.
pub fn claim<const N: usize>(sentence: &'static str, figures: [String; N]) -> Claim {
    Claim { sentence, figures: figures.into() }
}

/// Where a sentence stands, and its gaps.
pub struct Place {
    pub whole: Range<usize>,
    pub gaps: Vec<Range<usize>>,
}

/// Where `sentence` is in `text`.
///
/// # Errors
///
/// The sentence is not there, or more than once.
pub fn place(text: &str, sentence: &str) -> Result<Place, String> {
    let words: Vec<&str> = sentence.split(GAP).collect();
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(first) = literal(text, words[0], from) {
        from = first.start + 1;
        found.extend(rest(text, &words[1..], first));
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        times => Err(format!("the sentence is there {times} times: {sentence:?}")),
    }
}

/// The place that begins with `whole` and goes on with each of `words` after a gap.
fn rest(text: &str, words: &[&str], mut whole: Range<usize>) -> Option<Place> {
    let mut gaps = Vec::new();
    for word in words {
        let next = literal(text, word, whole.end)?;
        if next.start - whole.end > LONGEST {
            return None;
        }
        gaps.push(whole.end..next.start);
        whole.end = next.end;
    }
    Some(Place { whole, gaps })
}

/// The first place from `from` on where `text` has `wanted`; a space stands for any white space.
pub fn literal(text: &str, wanted: &str, from: usize) -> Option<Range<usize>> {
    let starts = text.char_indices().map(|(at, _)| at).filter(|at| *at >= from);
    starts.into_iter().find_map(|at| Some(at..at + matched(&text[at..], wanted)?))
}

/// How much of the beginning of `text` is `wanted`.
fn matched(text: &str, wanted: &str) -> Option<usize> {
    let mut left = text;
    for wanted in wanted.chars() {
        if wanted == ' ' {
            let trimmed = left.trim_start();
            if trimmed.len() == left.len() {
                return None;
            }
            left = trimmed;
        } else {
            left = left.strip_prefix(wanted)?;
        }
    }
    Some(text.len() - left.len())
}

/// Whether both are the same words, however their lines are broken.
pub fn same(a: &str, b: &str) -> bool {
    a.split_whitespace().eq(b.split_whitespace())
}

/// `text` with the figures of `claim` in its gaps.
///
/// # Errors
///
/// See [`place`]; or there are more figures than gaps, or fewer; or a figure contains the words that
/// end its gap, as the point of `takes {}.` is in 7.5.
pub fn sentence(text: &str, claim: &Claim) -> Result<String, String> {
    let gaps = place(text, claim.sentence)?.gaps;
    if gaps.len() != claim.figures.len() {
        return Err(format!("{} figures for {:?}", claim.figures.len(), claim.sentence));
    }
    let mut filled = text.to_owned();
    for (gap, figure) in gaps.into_iter().zip(&claim.figures).rev() {
        if !same(&text[gap.clone()], figure) {
            filled.replace_range(gap, figure);
        }
    }
    let now = place(&filled, claim.sentence)?.gaps;
    match now.into_iter().zip(&claim.figures).all(|(gap, figure)| same(&filled[gap], figure)) {
        true => Ok(filled),
        false => Err(format!("a figure contains the words after it: {:?}", claim.sentence)),
    }
}

/// Where the lines between `<!-- from: MARK -->` and `<!-- end -->` are.
///
/// # Errors
///
/// There is no such mark, or no end of it.
pub fn block(text: &str, mark: &str) -> Result<Range<usize>, String> {
    let begin = format!("<!-- from: {mark} -->\n");
    let missing = || format!("no {begin:?} and <!-- end -->");
    let start = text.find(&begin).ok_or_else(missing)? + begin.len();
    let length = text[start..].find("<!-- end -->").ok_or_else(missing)?;
    Ok(start..start + length)
}

#[test]
fn a_gap_is_filled_across_lines() {
    let text = "It takes 7\nns, and 8 ns there.";
    let now =
        |a: &str, b: &str| sentence(text, &claim("takes {} and {} there", [a.into(), b.into()]));
    assert_eq!(now("7 ns,", "9 ns").unwrap(), "It takes 7\nns, and 9 ns there.");
    assert_eq!(now("9 ns,", "8 ns").unwrap(), "It takes 9 ns, and 8 ns there.");
}

#[test]
fn a_sentence_that_is_not_there_once_is_an_error() {
    assert!(place("It took 7 ns.", "takes {} ns").err().unwrap().contains("0 times"));
    assert!(place("It takes 7 ns, takes 8 ns", "takes {} ns").err().unwrap().contains("2 times"));
    let far = format!("takes {} ns", "x".repeat(LONGEST + 1));
    assert!(place(&far, "takes {} ns").is_err());
}

#[test]
fn a_gap_that_a_figure_would_end_is_an_error() {
    let error = sentence("It takes 7. And", &claim("takes {}.", ["7.5".into()])).unwrap_err();
    assert!(error.contains("the words after it"), "{error}");
}

#[test]
fn a_block_is_what_stands_between_its_marks() {
    let text = "a\n<!-- from: x -->\n| 1 |\n<!-- end -->\nb";
    assert_eq!(&text[block(text, "x").unwrap()], "| 1 |\n");
    assert!(block(text, "y").is_err());
}
