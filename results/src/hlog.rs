//! Histograms on disk: HdrHistogram's own interval log (V2, deflate, base64), so
//! that its tools in any language read a run. One line is one interval of one
//! operation kind: `Tag=alloc`, or `Tag=alloc.response` for response times; with
//! `Tag=alloc.parts` for parts of the time, coarser, by which it can be seen over time.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry, Tag};
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

use crate::schema::Latency;
use crate::{Error, Result};

/// One operation kind over one interval of a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Interval {
    /// operation kind
    pub tag: String,
    /// start, ns from the start of the cell
    pub start_ns: u64,
    /// length, ns
    pub duration_ns: u64,
    /// latencies, ns
    pub histogram: Histogram<u64>,
}

impl Latency {
    /// The summary of a histogram of ns; `None` when nothing was recorded.
    pub fn of(histogram: &Histogram<u64>) -> Option<Latency> {
        if histogram.is_empty() {
            return None;
        }
        Some(Latency {
            n: histogram.len(),
            min: histogram.min(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            p9999: histogram.value_at_quantile(0.9999),
            max: histogram.max(),
            mean: histogram.mean(),
        })
    }
}

/// The text of an interval log. The crate's own writer keeps milliseconds only,
/// too coarse for virtual time, so the line is put together here.
///
/// # Errors
/// A tag holds a comma or a space.
pub fn encode(intervals: &[Interval]) -> Result<String> {
    let mut text = String::from("#[Histogram log format version 1.3]\n#times: s, values: ns\n");
    let mut serializer = V2DeflateSerializer::new();
    let mut bytes = Vec::new();
    for interval in intervals {
        let tag = Tag::new(&interval.tag).ok_or_else(|| Error::NotStorable {
            problem: format!("histogram tag {:?} holds a comma or a space", interval.tag),
        })?;
        bytes.clear();
        serializer.serialize(&interval.histogram, &mut bytes).map_err(|e| Error::NotStorable {
            problem: format!("histogram {}: {e}", interval.tag),
        })?;
        text += &format!(
            "Tag={},{},{},{}.0,{}\n",
            tag.as_str(),
            seconds(interval.start_ns),
            seconds(interval.duration_ns),
            interval.histogram.max(),
            STANDARD.encode(&bytes)
        );
    }
    Ok(text)
}

/// Read an interval log back; `path` is for the message.
///
/// # Errors
/// The text is no interval log.
pub fn decode(text: &[u8], path: &Path) -> Result<Vec<Interval>> {
    let expected = "an HdrHistogram interval log";
    let mut deserializer = Deserializer::new();
    let mut intervals = Vec::new();
    for entry in IntervalLogIterator::new(text) {
        let entry = entry.map_err(|e| Error::corrupt(path, format!("{e:?}"), expected))?;
        let LogEntry::Interval(line) = entry else { continue };
        let bytes = STANDARD
            .decode(line.encoded_histogram())
            .map_err(|e| Error::corrupt(path, e, expected))?;
        let histogram = deserializer
            .deserialize(&mut bytes.as_slice())
            .map_err(|e| Error::corrupt(path, e, expected))?;
        intervals.push(Interval {
            tag: line.tag().map(|tag| tag.as_str().to_owned()).unwrap_or_default(),
            start_ns: nanoseconds(line.start_timestamp()),
            duration_ns: nanoseconds(line.duration()),
            histogram,
        });
    }
    Ok(intervals)
}

fn seconds(ns: u64) -> String {
    format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(tag: &str, start_ns: u64) -> Interval {
        let mut histogram = Histogram::new(2).unwrap();
        for value in [90, 100, 110, 70_000] {
            histogram.record(value).unwrap();
        }
        Interval { tag: tag.into(), start_ns, duration_ns: 1_500_000, histogram }
    }

    #[test]
    fn a_log_reads_back_to_the_nanosecond() {
        let written = vec![interval("alloc", 0), interval("free.response", 1_000_000_007)];
        let text = encode(&written).unwrap();
        assert!(text.contains("HISTFAAA"), "V2 + deflate has this prefix: {text}");
        assert_eq!(decode(text.as_bytes(), Path::new("x.hlog")).unwrap(), written);
    }

    #[test]
    fn a_cut_log_is_an_error_or_a_shorter_log() {
        let text = encode(&[interval("alloc", 0), interval("free", 5)]).unwrap();
        for end in 0..text.len() {
            match decode(&text.as_bytes()[..end], Path::new("x.hlog")) {
                Ok(intervals) => assert!(intervals.len() < 2),
                Err(e) => assert!(e.to_string().starts_with("x.hlog: "), "{e}"),
            }
        }
    }

    #[test]
    fn a_tag_that_breaks_the_line_is_refused() {
        assert!(encode(&[interval("a,b", 0)]).is_err());
    }

    #[test]
    fn nothing_recorded_is_no_latency() {
        assert_eq!(Latency::of(&Histogram::new(2).unwrap()), None);
        assert_eq!(Latency::of(&interval("a", 0).histogram).unwrap().n, 4);
    }
}
