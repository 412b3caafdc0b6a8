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

/// Where each gap of `sentence` is in `text`.
///
/// # Errors
///
/// The sentence is not there, or more than once.
pub fn gaps(text: &str, sentence: &str) -> Result<Vec<Range<usize>>, String> {
    let words: Vec<&str> = sentence.split(GAP).collect();
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(first) = literal(text, words[0], from) {
        from = first.start + 1;
        found.extend(rest(text, &words[1..], first.end));
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        times => Err(format!("the sentence is there {times} times: {sentence:?}")),
    }
}

/// The gaps before each of `words`, which follow `end`.
fn rest(text: &str, words: &[&str], mut end: usize) -> Option<Vec<Range<usize>>> {
    let mut gaps = Vec::new();
    for word in words {
        let next = literal(text, word, end)?;
        if next.start - end > LONGEST {
            return None;
        }
        gaps.push(end..next.start);
        end = next.end;
    }
    Some(gaps)
}

/// The first place from `from` on where `text` has `wanted`; a space stands for any white space.
fn literal(text: &str, wanted: &str, from: usize) -> Option<Range<usize>> {
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
/// See [`gaps`]; or there are more figures than gaps, or fewer.
pub fn sentence(text: &str, claim: &Claim) -> Result<String, String> {
    let gaps = gaps(text, claim.sentence)?;
    if gaps.len() != claim.figures.len() {
        return Err(format!("{} figures for {:?}", claim.figures.len(), claim.sentence));
    }
    let mut text = text.to_owned();
    for (gap, figure) in gaps.into_iter().zip(&claim.figures).rev() {
        if !same(&text[gap.clone()], figure) {
            text.replace_range(gap, figure);
        }
    }
    Ok(text)
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
    assert!(gaps("It took 7 ns.", "takes {} ns").unwrap_err().contains("0 times"));
    assert!(gaps("It takes 7 ns, takes 8 ns", "takes {} ns").unwrap_err().contains("2 times"));
    let far = format!("takes {} ns", "x".repeat(LONGEST + 1));
    assert!(gaps(&far, "takes {} ns").is_err());
}

#[test]
fn a_block_is_what_stands_between_its_marks() {
    let text = "a\n<!-- from: x -->\n| 1 |\n<!-- end -->\nb";
    assert_eq!(&text[block(text, "x").unwrap()], "| 1 |\n");
    assert!(block(text, "y").is_err());
}
