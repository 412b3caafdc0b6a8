//! What the store promises: nothing half written, nothing lost, and of a damaged
//! file either a clean part or one clear error.

use std::fs;
use std::path::Path;

use results::store::{self, Loaded, Writer};
use results::{Error, example, schema::Cell};

fn cell(block: u32) -> Cell {
    let mut cell = example::cell();
    cell.key.block = block;
    cell.order_in_run = u64::from(block);
    cell.hlog = None;
    cell
}

fn three_cells(root: &Path) -> Writer {
    let mut writer = Writer::create(root, example::run()).unwrap();
    for block in 0..3 {
        writer.append(&cell(block)).unwrap();
    }
    writer
}

#[test]
fn what_is_written_reads_back() {
    let root = tempfile::tempdir().unwrap();
    let writer = three_cells(root.path());
    let loaded = store::load(writer.dir()).unwrap();
    assert_eq!(loaded.run, example::run());
    assert_eq!(loaded.cells, (0..3).map(cell).collect::<Vec<_>>());
    assert!(loaded.notes.is_empty());
    assert_eq!(store::load_all(&[root.path()]).unwrap(), vec![loaded]);
}

#[test]
fn the_fixed_order_of_fields_is_on_disk() {
    let root = tempfile::tempdir().unwrap();
    let writer = three_cells(root.path());
    let text = fs::read_to_string(writer.dir().join("cells.jsonl")).unwrap();
    assert!(text.starts_with(
        r#"{"key":{"machine":"native","variant":"scanning","lock":"tas","workload":"churn","params":{"fill":"75","size":"10GiB"},"threads":2,"pin":"compact","block":0},"seed":1,"#
    ));
}

fn cut(path: &Path, end: usize) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(end as u64).unwrap();
}

/// A run cut at any byte reads as its whole lines, and resumes to the same cells.
#[test]
fn cells_cut_at_every_byte_read_cleanly() {
    let root = tempfile::tempdir().unwrap();
    let writer = three_cells(root.path());
    let path = writer.dir().join("cells.jsonl");
    let whole = fs::read(&path).unwrap();
    for end in (0..whole.len()).rev() {
        cut(&path, end);
        let loaded = store::load(writer.dir()).unwrap();
        let lines = whole[..end].iter().filter(|&&b| b == b'\n').count();
        let torn = end > 0 && whole[end - 1] != b'\n';
        assert_eq!(loaded.cells.len(), lines);
        assert_eq!(loaded.notes.len(), usize::from(torn), "cut at {end}");
    }
}

#[test]
fn a_torn_run_resumes_to_the_same_bytes() {
    let root = tempfile::tempdir().unwrap();
    let dir = three_cells(root.path()).dir().to_owned();
    let path = dir.join("cells.jsonl");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 10]).unwrap();
    let (mut writer, loaded) = Writer::resume(&dir).unwrap();
    assert_eq!(loaded.cells.len(), 2);
    writer.append(&cell(2)).unwrap();
    assert_eq!(fs::read(&path).unwrap(), whole);
}

/// run.json cut or altered anywhere: an error that names it, never a panic.
#[test]
fn run_json_cut_at_every_byte_is_a_clear_error() {
    let root = tempfile::tempdir().unwrap();
    let writer = three_cells(root.path());
    let path = writer.dir().join("run.json");
    let whole = fs::read(&path).unwrap();
    for end in (0..whole.len() - 2).rev() {
        cut(&path, end);
        let error = store::load(writer.dir()).unwrap_err();
        assert!(error.to_string().starts_with(path.to_str().unwrap()), "{error}");
        assert!(error.to_string().contains("expected"), "{error}");
    }
}

/// The run of [`three_cells`] with one line altered.
fn load_with_line(number: usize, change: impl Fn(&str) -> String) -> Result<Loaded, Error> {
    let root = tempfile::tempdir().unwrap();
    let writer = three_cells(root.path());
    let path = writer.dir().join("cells.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<String> = text
        .lines()
        .enumerate()
        .map(|(at, line)| if at + 1 == number { change(line) } else { line.to_owned() } + "\n")
        .collect();
    fs::write(&path, lines.concat()).unwrap();
    store::load(writer.dir())
}

#[test]
fn a_corrupt_line_in_the_middle_names_file_and_line() {
    let message = |change: fn(&str) -> String| load_with_line(2, change).unwrap_err().to_string();
    let error = message(|line| line.replacen(':', ";", 1));
    assert!(error.contains("cells.jsonl: line 2: "), "{error}");
    let error = message(|line| line.replace(r#""overlap":"#, r#""overlap":-"#));
    assert!(error.contains("cells.jsonl: line 2: overlap is -"), "{error}");
}

/// As two writers leave it: the run can be read, and no figure counts twice.
#[test]
fn of_a_cell_that_stands_twice_the_first_counts() {
    let again = |line: &str| line.replace(r#""block":2"#, r#""block":0"#);
    let loaded = load_with_line(3, again).unwrap();
    assert_eq!(loaded.cells, [cell(0), cell(1)]);
    let [note] = &loaded.notes[..] else { panic!("{:?}", loaded.notes) };
    assert!(note.contains("cells.jsonl: 1 cells stand twice"), "{note}");
    assert!(note.contains("line 3 has the key of line 1"), "{note}");
}

/// Two writers share the name of a cell's histograms: whose they are is not known.
#[test]
fn histograms_that_two_cells_name_belong_to_neither() {
    let root = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(root.path(), example::run()).unwrap();
    let (mut first, mut other) = (cell(0), cell(1));
    (first.hlog, other.hlog) = (Some("00000.hlog".into()), Some("00001.hlog".into()));
    let mut again = first.clone();
    again.seed += 1;
    [&first, &other, &again, &other].into_iter().for_each(|cell| writer.append(cell).unwrap());
    let loaded = store::load(writer.dir()).unwrap();
    let named: Vec<_> = loaded.cells.iter().map(|cell| cell.hlog.as_deref()).collect();
    assert_eq!(named, [None, Some("00001.hlog")], "the second pair is equal");
}

#[test]
fn a_run_has_one_writer() {
    let root = tempfile::tempdir().unwrap();
    let first = three_cells(root.path());
    assert_eq!(first.note(), None, "this file system has locks");
    let dir = first.dir().to_owned();
    let before = fs::read(dir.join("cells.jsonl")).unwrap();
    let refused = Writer::resume(&dir).unwrap_err().to_string();
    let pid = std::process::id();
    let expected = format!("another swapscale writes this run (pid {pid})");
    assert_eq!(refused, format!("{}: {expected}", dir.display()));
    assert_eq!(store::load(&dir).unwrap().cells.len(), 3, "a reader is no writer");
    drop(first);
    let (second, _) = Writer::resume(&dir).unwrap();
    assert!(Writer::resume(&dir).is_err(), "a resumed run is locked too");
    drop(second);
    assert_eq!(fs::read(dir.join("cells.jsonl")).unwrap(), before);
    let hidden = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b".");
    let left = fs::read_dir(&dir).unwrap().flatten().filter(hidden).count();
    assert_eq!(left, 0, "the writer's own file is gone");
}

#[test]
fn a_remark_is_on_disk() {
    let root = tempfile::tempdir().unwrap();
    let mut writer = three_cells(root.path());
    writer.remark("it was resumed".into()).unwrap();
    let loaded = store::load(writer.dir()).unwrap();
    assert_eq!(loaded.run.environment.notes.last().unwrap(), "it was resumed");
    assert_eq!(loaded.cells.len(), 3);
}

/// Each in one directory, in one second, with one name.
#[test]
fn runs_that_begin_together_are_as_many_runs() {
    const RUNS: usize = 8;
    let root = tempfile::tempdir().unwrap();
    let begin = std::sync::Barrier::new(RUNS);
    let create = || {
        begin.wait();
        Writer::create(root.path(), example::run()).map(|writer| writer.run().id.clone())
    };
    let mut ids: Vec<String> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..RUNS).map(|_| scope.spawn(create)).collect();
        all.into_iter().map(|one| one.join().unwrap().unwrap()).collect()
    });
    ids.sort();
    let loaded = store::load_all(&[root.path()]).unwrap();
    let found: Vec<&str> = loaded.iter().map(|run| &run.run.id[..]).collect();
    assert_eq!(found, ids);
    ids.dedup();
    assert_eq!(ids.len(), RUNS);
}

#[test]
fn runs_of_one_second_have_ids_of_their_own() {
    let id = || store::run_id("2026-01-02T03:04:05Z".parse().unwrap(), "a host", "label");
    let ids: std::collections::BTreeSet<String> = (0..100).map(|_| id()).collect();
    assert_eq!(ids.len(), 100);
    let one = ids.first().unwrap();
    assert!(one.starts_with("20260102T030405Z-") && one.ends_with("-a-host-label"), "{one}");
}

#[test]
fn a_newer_schema_says_so_and_unknown_fields_do_no_harm() {
    let root = tempfile::tempdir().unwrap();
    let writer = three_cells(root.path());
    let path = writer.dir().join("run.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("{", "{\"added_later\": 7,", 1)).unwrap();
    assert_eq!(store::load(writer.dir()).unwrap().run, example::run());
    fs::write(&path, text.replace("\"schema\": 1", "\"schema\": 2")).unwrap();
    let error = store::load(writer.dir()).unwrap_err().to_string();
    assert!(error.contains("run.json: schema 2 is newer than 1"), "{error}");
    fs::write(&path, text.replace("\"schema\": 1", "\"schema\": 0")).unwrap();
    assert!(store::load(writer.dir()).is_err());
}

#[test]
fn nothing_there_is_one_clear_error() {
    let root = tempfile::tempdir().unwrap();
    let empty = store::load_all(&[root.path()]).unwrap_err().to_string();
    assert!(empty.contains("no run here"), "{empty}");
    let missing = store::load_all(&[root.path().join("none")]).unwrap_err().to_string();
    assert!(missing.contains("none: cannot read"), "{missing}");
}

#[test]
fn a_second_run_in_the_same_second_gets_its_own_directory() {
    let root = tempfile::tempdir().unwrap();
    let first = three_cells(root.path());
    let second = three_cells(root.path());
    assert_eq!(second.run().id, format!("{}-2", first.run().id));
    assert!(store::load(second.dir()).unwrap().run.id.ends_with("-2"));
}

#[test]
fn a_run_that_cannot_be_made_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mut run = example::run();
    run.id = "no/such/parent".into();
    assert!(Writer::create(root.path(), run).is_err());
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Writer::create(&file, example::run()).unwrap_err().to_string();
    assert!(error.contains("file: cannot create directory"), "{error}");
}

#[test]
fn a_cell_that_cannot_be_written_leaves_the_file_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    let mut writer = three_cells(root.path());
    let path = writer.dir().join("cells.jsonl");
    let before = fs::read(&path).unwrap();
    let mut bad = cell(3);
    bad.ops_per_s = f64::NAN;
    assert!(writer.append(&bad).unwrap_err().to_string().contains("NaN"));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn histograms_are_attached_to_their_cell() {
    let root = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(root.path(), example::run()).unwrap();
    let mut histogram = hdrhistogram::Histogram::new(2).unwrap();
    histogram.record(70).unwrap();
    let interval =
        results::hlog::Interval { tag: "alloc".into(), start_ns: 0, duration_ns: 1_000, histogram };
    let mut cell = cell(7);
    writer.attach(&mut cell, std::slice::from_ref(&interval)).unwrap();
    writer.append(&cell).unwrap();
    let loaded = store::load(writer.dir()).unwrap();
    assert_eq!(loaded.histograms(&loaded.cells[0]).unwrap(), vec![interval]);
    fs::remove_file(writer.dir().join("00007.hlog")).unwrap();
    let error = loaded.histograms(&loaded.cells[0]).unwrap_err().to_string();
    assert!(error.contains("00007.hlog"), "{error}");
}

const FULL: &str = "RESULTS_TEST_FULL_DISK";

/// A disk that is full in the middle of a line: this test runs itself again under
/// a limit on file size, which a write meets as it meets a full disk, half done.
#[test]
fn a_full_disk_leaves_whole_lines() {
    if let Some(dir) = std::env::var_os(FULL) {
        let (mut writer, _) = Writer::resume(Path::new(&dir)).unwrap();
        let error = (0..9).find_map(|block| writer.append(&cell(block)).err()).unwrap();
        assert!(error.to_string().contains("cannot append a cell to"), "{error}");
        return;
    }
    if std::env::var_os("SWAPSCALE_EMULATED").is_some() {
        return eprintln!("left out: an emulated program cannot start itself again");
    }
    let root = tempfile::tempdir().unwrap();
    let writer = Writer::create(root.path(), example::run()).unwrap();
    let dir = writer.dir().to_owned();
    drop(writer);
    let child = std::process::Command::new("sh")
        .args([
            "-c",
            r#"trap "" XFSZ; ulimit -f 8; exec "$0" --exact a_full_disk_leaves_whole_lines"#,
        ])
        .arg(std::env::current_exe().unwrap())
        .env(FULL, &dir)
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    let loaded = store::load(&dir).unwrap();
    assert!((1..9).contains(&loaded.cells.len()), "{} cells", loaded.cells.len());
    assert!(loaded.notes.is_empty(), "a torn line was left: {:?}", loaded.notes);
}
