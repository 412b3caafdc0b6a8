//! Text that every format shares: figures with units, wrapped lines, and a command
//! broken over lines so that it still runs when pasted.

/// A time, as perf prints it: `4.51 us`.
pub fn duration(ns: f64) -> String {
    match ns {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.2} us", ns / 1e3),
        ns if ns < 1e9 => format!("{:.2} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}

/// Three digits, without an exponent.
pub fn digits(x: f64) -> String {
    match x.abs() {
        size if size >= 100.0 => format!("{x:.0}"),
        size if size >= 10.0 => format!("{x:.1}"),
        _ => format!("{x:.2}"),
    }
}

/// A share's change: `+5.3%`.
pub fn change(share: f64) -> String {
    format!("{:+.1}%", share * 100.0)
}

/// One unit and one number of decimals for a whole column.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    factor: f64,
    decimals: usize,
    /// unit of the printed figures
    pub unit: String,
}

impl Scale {
    /// The scale for figures of `unit` of which `largest` is the largest.
    pub fn of(unit: &str, largest: f64) -> Scale {
        let steps: &[(f64, &str)] = match unit {
            "ops/s" => &[(1e6, "Mops/s"), (1e3, "kops/s"), (1.0, "ops/s")],
            "ns" => &[(1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns")],
            _ => &[(1.0, unit)],
        };
        // A thousand of a unit still reads better than 1.0 of the next.
        let step = steps.iter().find(|(factor, _)| largest >= factor * 2.0);
        let (factor, unit) = *step.unwrap_or(&steps[steps.len() - 1]);
        let decimals = match largest / factor {
            x if x < 10.0 => 3,
            x if x < 100.0 => 2,
            x if x < 1000.0 => 1,
            _ => 0,
        };
        Scale { factor, decimals, unit: unit.to_owned() }
    }

    /// `value` in the column's unit, without the unit.
    pub fn print(&self, value: f64) -> String {
        format!("{:.*}", self.decimals, value / self.factor)
    }
}

/// Printable ASCII only; anything else becomes `?`, white space a space.
pub fn ascii(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            c if c.is_whitespace() => ' ',
            c if c.is_ascii_graphic() => c,
            _ => '?',
        })
        .collect()
}

/// `text` cut to `width` characters, with `..` where it was cut.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(2)).chain("..".chars()).collect()
}

/// Words filled into lines of at most `width` columns, with `indent` before each but the first. A
/// longer word has a line of its own.
pub fn wrap(text: &str, width: usize, indent: &str) -> Vec<String> {
    use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};
    let options = Options::new(width)
        .subsequent_indent(indent)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    textwrap::wrap(text, options).into_iter().map(|line| line.into_owned()).collect()
}

/// A shell command over lines of at most `width`, each but the last ending in a
/// backslash. Breaks stand between words, an option beside its value where it can;
/// a word too long for a line is broken inside, and the shell joins it again.
pub fn wrap_command(command: &str, width: usize) -> Vec<String> {
    const INDENT: &str = "    ";
    let mut lines = vec![String::from("  ")];
    let words = words(command);
    for (at, word) in words.iter().enumerate() {
        let line = lines.last_mut().expect("there is a first line");
        let started = !line.trim().is_empty();
        let value =
            words.get(at + 1).filter(|next| word.starts_with("--") && !next.starts_with('-'));
        let pair = word.len() + value.map_or(0, |value| 1 + value.len());
        let whole = if INDENT.len() + pair + 2 > width { word.len() } else { pair };
        if started && line.len() + 1 + whole + 2 > width {
            line.push_str(" \\");
            lines.push(INDENT.to_owned());
        } else if started {
            line.push(' ');
        }
        push_word(&mut lines, word, width);
    }
    lines.iter_mut().for_each(|line| line.truncate(line.trim_end().len()));
    lines
}

/// Append a word to the last line, going on in column 0 where it does not fit. The
/// new line opens with a quote, so that it never begins with a `#` or a `-`.
fn push_word(lines: &mut Vec<String>, word: &str, width: usize) {
    let mut quote: Option<char> = None;
    let mut escaped = false;
    let mut left = word.len();
    for c in word.chars() {
        let line = lines.last_mut().expect("there is a first line");
        // Room for `'` and ` \` behind this character, unless the word ends here.
        // A break must not part a backslash from what it escapes.
        if !escaped && left + line.len() + 2 > width && line.len() + 4 > width {
            line.extend(quote);
            line.push('\\');
            lines.push(quote.map_or(String::from("\"\""), String::from));
        }
        left -= c.len_utf8();
        lines.last_mut().expect("a line was pushed").push(c);
        step(c, &mut quote, &mut escaped);
    }
}

/// Where one more character leaves the shell's quoting.
fn step(c: char, quote: &mut Option<char>, escaped: &mut bool) {
    match (c, *quote) {
        _ if *escaped => *escaped = false,
        ('\\', None | Some('"')) => *escaped = true,
        (c, Some(open)) if c == open => *quote = None,
        ('\'' | '"', None) => *quote = Some(c),
        _ => {}
    }
}

/// The words of a command as they stand, quotes and all.
fn words(command: &str) -> Vec<&str> {
    let (mut words, mut start, mut quote, mut escaped) = (Vec::new(), None, None, false);
    for (at, c) in command.char_indices() {
        if c == ' ' && quote.is_none() && !escaped {
            words.extend(start.take().map(|start| &command[start..at]));
            continue;
        }
        start.get_or_insert(at);
        step(c, &mut quote, &mut escaped);
    }
    words.extend(start.map(|start| &command[start..]));
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_read_as_perf_prints_them() {
        let printed: Vec<String> =
            [88.0, 4_510.0, 7_110_000.0, 53.63e9].map(duration).into_iter().collect();
        assert_eq!(printed, ["88 ns", "4.51 us", "7.11 ms", "53.63 s"]);
    }

    #[test]
    fn digits_keep_three() {
        assert_eq!([0.123, 12.34, 1234.5].map(digits), ["0.12", "12.3", "1234"]);
    }

    #[test]
    fn a_column_has_one_unit() {
        let scale = Scale::of("ops/s", 8_200_000.0);
        assert_eq!((scale.unit.as_str(), scale.print(30_000.0).as_str()), ("Mops/s", "0.030"));
        assert_eq!(Scale::of("ns", 1_500.0).print(1_500.0), "1500");
        assert_eq!(Scale::of("0..1", 0.5).print(0.25), "0.250");
    }

    #[test]
    fn a_short_command_stays_on_its_line() {
        assert_eq!(wrap_command("swapscale run --trials 8", 72), ["  swapscale run --trials 8"]);
    }

    /// What a shell makes of the lines: a backslash-newline outside single quotes
    /// vanishes, white space parts words, quotes go.
    fn shell(lines: &[String]) -> Vec<String> {
        let output = std::process::Command::new("sh")
            .arg("-c")
            .arg(format!("printf '%s\\n' {}", lines.join("\n")))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_wrapped_command_is_the_same_command(
            words in prop::collection::vec(("[a-z0-9=,./#-]{1,90}|[a-z #]{0,99}[a-z#]", 0..3), 1..12)
        ) {
            let quote = |(word, style): &(String, i32)| match style {
                0 => format!("'{word}'"),
                1 => format!("\"{word}\""),
                _ => word.chars().map(|c| format!("\\{c}")).collect(),
            };
            let command = words.iter().map(quote).collect::<Vec<_>>().join(" ");
            let words: Vec<String> = words.into_iter().map(|(word, _)| word).collect();
            let lines = wrap_command(&command, 72);
            prop_assert!(lines.iter().all(|line| line.len() <= 72), "{lines:#?}");
            prop_assert_eq!(shell(&lines), words);
        }
    }
}
