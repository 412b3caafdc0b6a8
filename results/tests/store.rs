//! What the store promises: nothing half written, nothing lost, and of a damaged
//! file either a clean part or one clear error.

use std::fs;
use std::path::Path;

use results::store::{self, Writer};
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

fn load_with_line(number: usize, change: impl Fn(&str) -> String) -> Error {
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
    store::load(writer.dir()).unwrap_err()
}

#[test]
fn a_corrupt_line_in_the_middle_names_file_and_line() {
    let error = load_with_line(2, |line| line.replacen(':', ";", 1)).to_string();
    assert!(error.contains("cells.jsonl: line 2: "), "{error}");
}

#[test]
fn a_cell_that_stands_twice_is_refused() {
    let error = load_with_line(3, |line| line.replace(r#""block":2"#, r#""block":0"#)).to_string();
    assert!(error.contains("line 3: the same key as line 1"), "{error}");
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
    let root = tempfile::tempdir().unwrap();
    let writer = Writer::create(root.path(), example::run()).unwrap();
    let child = std::process::Command::new("sh")
        .args([
            "-c",
            r#"trap "" XFSZ; ulimit -f 8; exec "$0" --exact a_full_disk_leaves_whole_lines"#,
        ])
        .arg(std::env::current_exe().unwrap())
        .env(FULL, writer.dir())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    let loaded = store::load(writer.dir()).unwrap();
    assert!((1..9).contains(&loaded.cells.len()), "{} cells", loaded.cells.len());
    assert!(loaded.notes.is_empty(), "a torn line was left: {:?}", loaded.notes);
}
