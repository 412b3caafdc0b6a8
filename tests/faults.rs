//! Runs that must survive, by the real command: kill -9 at any moment, a full disk, a clock that steps
//! by a day, others that begin or resume a run at the same moment, a CPU that is taken away,
//! thousands of cells. Guards that a finished cell is never lost and that a run that
//! cannot go on says why in one line and ends with 2. A model's cells are the same every time, so
//! that a lost or torn one would show in the bytes.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

const CELLS: [&str; 13] = [
    "run",
    "--machine",
    "vm-32",
    "--workload",
    "churn",
    "--threads",
    "1",
    "--seconds",
    "0.0005",
    "--size",
    "4MiB",
    "--out",
    "runs",
];

fn swapscale(args: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swapscale"));
    command.args(args).current_dir(dir).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run_of(trials: &str) -> Vec<&str> {
    [&CELLS[..], &["--variant", "percluster", "--trials", trials]].concat()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// The only run below `runs`, if it has appeared.
fn run_in(dir: &TempDir) -> Option<PathBuf> {
    let mut runs = fs::read_dir(dir.path().join("runs")).ok()?.flatten().map(|e| e.path());
    let visible = |path: &PathBuf| !path.file_name().unwrap().as_encoded_bytes().starts_with(b".");
    runs.find(visible)
}

/// Lines that end in a newline.
fn whole_lines(run: &Path) -> String {
    let text = fs::read_to_string(run.join("cells.jsonl")).unwrap();
    text[..text.rfind('\n').map_or(0, |at| at + 1)].to_owned()
}

/// Everything in a run but `run.json`, which says when it was.
fn content(run: &Path) -> Vec<(String, Vec<u8>)> {
    let file = |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), entry.path());
    let mut files: Vec<_> = fs::read_dir(run).unwrap().flatten().map(file).collect();
    files.retain(|(name, _)| name != "run.json" && !name.starts_with('.'));
    files.sort();
    files.into_iter().map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// 5 kills here, 50 in `make test-long`.
#[test]
fn a_run_killed_at_random_moments_loses_nothing() {
    let args = run_of("12");
    let whole = tempfile::tempdir().unwrap();
    let began = std::time::Instant::now();
    assert!(swapscale(&args, whole.path()).output().unwrap().status.success());
    let usual = began.elapsed().as_secs_f64();
    let expected = content(&run_in(&whole).unwrap());
    let seed = number("SWAPSCALE_SEED", fastrand::u32(..) as usize);
    eprintln!("SWAPSCALE_SEED={seed} kills at these moments again");
    let kills = number("SWAPSCALE_KILLS", 5);
    let (mut random, mut left) = (fastrand::Rng::with_seed(seed as u64), kills);
    while left > 0 {
        let dir = tempfile::tempdir().unwrap();
        let mut before = String::new();
        loop {
            let resumed = run_in(&dir).map(|run| run.to_str().unwrap().to_owned());
            let resume = resumed.as_ref().map(|run| ["run", "--resume", run]);
            let args = resume.as_ref().map_or(&args[..], |resume| resume);
            let mut child = swapscale(args, dir.path()).spawn().unwrap();
            // The last time round it is left alone.
            if left == 0 {
                let output = child.wait_with_output().unwrap();
                assert!(output.status.success(), "{}", said(&output));
                break;
            }
            std::thread::sleep(Duration::from_secs_f64(usual * 0.4 * random.f64()));
            if child.try_wait().unwrap().is_some() {
                break;
            }
            kill(child);
            left -= 1;
            if let Some(run) = run_in(&dir) {
                let now = whole_lines(&run);
                assert!(now.starts_with(&before), "a finished cell was lost or changed");
                before = now;
            }
        }
        if let Some(run) = run_in(&dir) {
            assert!(content(&run) == expected, "not the cells of a run that was left alone");
        }
    }
    eprintln!("{kills} kills: no cell lost, every figure the same");
}

/// The arguments that resume `run`.
fn resume(run: &Path) -> [&str; 3] {
    ["run", "--resume", run.to_str().unwrap()]
}

/// Takes all cells but the first `cells` away, as if the run had been killed.
fn cut(run: &Path, cells: usize) {
    let kept: String = whole_lines(run).split_inclusive('\n').take(cells).collect();
    fs::write(run.join("cells.jsonl"), kept).unwrap();
}

/// All at once, then in pairs: 3 pairs here, 200 in `make test-long`.
#[test]
fn processes_that_begin_together_make_a_run_each() {
    const AT_ONCE: usize = 8;
    let (dir, args) = (tempfile::tempdir().unwrap(), run_of("1"));
    let begin = |processes: usize| {
        let all: Vec<Child> =
            (0..processes).map(|_| swapscale(&args, dir.path()).spawn().unwrap()).collect();
        for child in all {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", said(&output));
        }
    };
    let pairs = number("SWAPSCALE_PAIRS", 3);
    begin(AT_ONCE);
    (0..pairs).for_each(|_| begin(2));
    let root = dir.path().join("runs");
    let names = fs::read_dir(&root).unwrap().flatten();
    let names: Vec<_> = names.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), AT_ONCE + 2 * pairs, "{names:?}");
    let runs = results::store::load_all(&[&root]).unwrap();
    assert!(runs.iter().all(|run| run.cells.len() == 1 && names.contains(&run.run.id)));
    let first = content(&root.join(&names[0]));
    assert!(names.iter().all(|name| content(&root.join(name)) == first), "figures differ");
    eprintln!(
        "{AT_ONCE} starts at once and {pairs} pairs of starts: no run lost, every figure the same"
    );
}

/// 3 pairs here, 200 in `make test-long`. One of a pair writes the run; the other one refuses, or
/// it comes when nothing is left to do.
#[test]
fn of_two_that_resume_a_run_at_once_one_refuses_and_nothing_is_lost() {
    let whole = tempfile::tempdir().unwrap();
    assert!(swapscale(&run_of("12"), whole.path()).output().unwrap().status.success());
    let run = run_in(&whole).unwrap();
    let expected = content(&run);
    let (mut refusals, pairs) = (0, number("SWAPSCALE_PAIRS", 3));
    for _ in 0..pairs {
        cut(&run, 2);
        let pair = [0, 1].map(|_| swapscale(&resume(&run), whole.path()).spawn().unwrap());
        let pair = pair.map(|child| child.wait_with_output().unwrap());
        let (done, refused): (Vec<_>, Vec<_>) = pair.iter().partition(|o| o.status.success());
        assert!(!done.is_empty(), "{}{}", said(&pair[0]), said(&pair[1]));
        for output in refused {
            refusals += 1;
            assert_eq!(output.status.code(), Some(2), "{}", said(output));
            assert_eq!(said(output).lines().count(), 1, "{}", said(output));
            let words = ": another swapscale writes this run (pid ";
            assert!(said(output).contains(words), "{}", said(output));
        }
        assert!(content(&run) == expected, "not the cells of a run that was left alone");
    }
    assert!(refusals > 0, "the resumes never met");
    eprintln!("{pairs} pairs of resumes, {refusals} refused: no cell lost, every figure the same");
}

/// Alters a reading of a run's environment.
fn pretend(run: &Path, key: &str, value: serde_json::Value) {
    let path = run.join("run.json");
    let mut json: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    json["environment"][key] = value;
    fs::write(path, serde_json::to_string_pretty(&json).unwrap()).unwrap();
}

#[test]
fn a_run_is_resumed_where_it_began_or_by_force() {
    let dir = tempfile::tempdir().unwrap();
    let mut native = run_of("2");
    native.drain(1..3);
    native[6] = "0.05";
    assert!(swapscale(&native, dir.path()).output().unwrap().status.success());
    let run = run_in(&dir).unwrap();
    cut(&run, 1);
    pretend(&run, "kernel", serde_json::json!({ "unknown": "no /proc" }));
    let unknown = swapscale(&resume(&run), dir.path()).output().unwrap();
    assert!(unknown.status.success(), "what is unknown refuses nothing: {}", said(&unknown));
    cut(&run, 1);
    pretend(&run, "kernel", "6.12.117 #1 SMP".into());
    pretend(&run, "cpu_model", "Another CPU".into());
    let before = fs::read_to_string(run.join("run.json")).unwrap();
    let refused = swapscale(&resume(&run), dir.path()).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert_eq!(said(&refused).lines().count(), 1, "{}", said(&refused));
    for word in ["kernel was '6.12.117 #1 SMP', is '", "cpu_model was 'Another CPU'", "--force"] {
        assert!(said(&refused).contains(word), "{word}: {}", said(&refused));
    }
    assert_eq!(whole_lines(&run).lines().count(), 1);
    assert_eq!(fs::read_to_string(run.join("run.json")).unwrap(), before);
    let forced = [&resume(&run)[..], &["--force"]].concat();
    let forced = swapscale(&forced, dir.path()).output().unwrap();
    assert!(forced.status.success(), "{}", said(&forced));
    let loaded = results::store::load(&run).unwrap();
    let note = loaded.run.environment.notes.last().unwrap();
    assert!(note.starts_with("resumed after 1 cells: "), "{note}");
    assert!(note.contains("kernel was '6.12.117 #1 SMP'"), "{note}");
    assert_eq!(loaded.cells.len(), 2);
}

/// Its cells do not depend on the host, but on the program.
#[test]
fn a_prediction_is_resumed_on_any_host_by_the_same_program() {
    let dir = tempfile::tempdir().unwrap();
    assert!(swapscale(&run_of("3"), dir.path()).output().unwrap().status.success());
    let run = run_in(&dir).unwrap();
    let expected = content(&run);
    cut(&run, 1);
    pretend(&run, "kernel", "6.12.117 #1 SMP".into());
    let output = swapscale(&resume(&run), dir.path()).output().unwrap();
    assert!(output.status.success() && said(&output).contains("WARNING"), "{}", said(&output));
    assert!(content(&run) == expected);
    pretend(&run, "rustc", "rustc 1.0".into());
    let output = swapscale(&resume(&run), dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("rustc was 'rustc 1.0'"), "{}", said(&output));
}

#[test]
fn a_run_goes_on_with_the_events_it_began_with() {
    let dir = tempfile::tempdir().unwrap();
    let events = dir.path().join("events.toml");
    fs::write(&events, "[[event]]\nname = \"a\"\nraw = 1\n").unwrap();
    let mut native = run_of("1");
    native.drain(1..3);
    native[6] = "0.05";
    native.extend(["--events", "events.toml"]);
    let output = swapscale(&native, dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let run = run_in(&dir).unwrap();
    assert!(swapscale(&resume(&run), dir.path()).output().unwrap().status.success());
    fs::write(&events, "[[event]]\nname = \"a\"\nraw = 2\n").unwrap();
    let output = swapscale(&resume(&run), dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("the events file has another text"), "{}", said(&output));
}

/// A reader that has seen enough, and a log on a full disk: the run is made all the same.
#[test]
fn a_run_whose_messages_nobody_reads_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = swapscale(&run_of("6"), dir.path()).spawn().unwrap();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut String::new()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(whole_lines(&run_in(&dir).unwrap()).lines().count(), 6);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut command = swapscale(&run_of("2"), dir.path());
    assert_eq!(command.stderr(full).output().unwrap().status.code(), Some(0));
    assert_eq!(whole_lines(&run_in(&dir).unwrap()).lines().count(), 2);
}

/// A limit on address space is met as a limit on memory is.
#[test]
fn what_does_not_fit_in_memory_is_refused_before_it_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let limited = r#"ulimit -v 2000000; exec "$0" run --machine vm-32 --variant percluster \
        --workload churn --threads 1 --trials 1 --seconds 0.0005 --out runs --size "#;
    let run = |size: &str| {
        let script = format!("{limited}{size}");
        let args = ["-c", &script, env!("CARGO_BIN_EXE_swapscale")];
        Command::new("sh").args(args).current_dir(dir.path()).output().unwrap()
    };
    let output = run("1024GiB");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert_eq!(said(&output).lines().count(), 1, "{}", said(&output));
    assert!(said(&output).contains("churn of 1024GiB needs about"), "{}", said(&output));
    assert!(said(&output).contains(" available"), "{}", said(&output));
    assert!(!dir.path().join("runs").exists(), "nothing is written");
    let output = run("64MiB");
    assert!(output.status.success(), "{}", said(&output));
}

/// The process is stopped in a window, as it is when a laptop sleeps or a debugger holds it. The
/// window's end passes meanwhile.
#[test]
fn a_stop_that_ends_a_window_is_seen() {
    for _ in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let mut args = run_of("1");
        args.drain(1..3);
        args[6] = "0.8";
        let child = swapscale(&args, dir.path()).spawn().unwrap();
        while run_in(&dir).is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(500));
        let signal = |name: &str| {
            let pid = child.id().to_string();
            assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
        };
        signal("-STOP");
        std::thread::sleep(Duration::from_millis(900));
        signal("-CONT");
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let cell = &results::store::load(&run_in(&dir).unwrap()).unwrap().cells[0];
        assert_eq!(cell.asked_ns, Some(800_000_000));
        if cell.duration_ns < 1_150_000_000 {
            continue; // the stop was over before the window, or began after it
        }
        let gap = *cell.noise.gap_max_ns.known().unwrap();
        assert!(gap > 500_000_000, "of {} ns the longest gap is {gap}", cell.duration_ns);
        assert!(said(&output).contains("longer than asked"), "{}", said(&output));
        return;
    }
    eprintln!("left out: no stop fell into the window");
}

/// A limit on file size is met as a full disk is: by a write that is half done.
#[test]
fn a_full_disk_ends_the_run_and_keeps_its_cells() {
    let dir = tempfile::tempdir().unwrap();
    let limited = format!(r#"trap "" XFSZ; ulimit -f 64; exec "$0" {}"#, run_of("40").join(" "));
    let output = Command::new("sh")
        .args(["-c", &limited, env!("CARGO_BIN_EXE_swapscale")])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("cells.jsonl: cannot append a cell to"), "{}", said(&output));
    let run = run_in(&dir).unwrap();
    let kept = fs::read_to_string(run.join("cells.jsonl")).unwrap();
    assert!(kept.ends_with('\n') && kept.lines().count() > 1, "{kept}");
    let resume = ["run", "--resume", run.to_str().unwrap()];
    assert!(swapscale(&resume, dir.path()).output().unwrap().status.success());
    assert!(whole_lines(&run).starts_with(&kept));
    let whole = tempfile::tempdir().unwrap();
    assert!(swapscale(&run_of("40"), whole.path()).output().unwrap().status.success());
    assert!(content(&run) == content(&run_in(&whole).unwrap()), "figures differ");
}

/// A disk that is really full, where this user may mount one. The run goes on when there is room.
#[test]
fn a_full_tmpfs_ends_the_run_and_keeps_its_cells() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        r#"mkdir full runs && mount -t tmpfs -o size=96k none full || exit 77
           "$0" {}; echo "code $?"; "$0" report full >/dev/null && echo readable
           mount -o remount,size=8m full && "$0" run --resume full/*; cp -r full/* runs/"#,
        run_of("60").join(" ").replace("--out runs", "--out full")
    );
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script, env!("CARGO_BIN_EXE_swapscale")])
        .current_dir(dir.path())
        .output();
    let Ok(output) = output.map_err(|error| eprintln!("left out: unshare: {error}")) else {
        return;
    };
    let told = String::from_utf8_lossy(&output.stdout);
    if !told.contains("code") {
        return eprintln!("left out: no tmpfs to mount here: {}", said(&output));
    }
    assert!(told.contains("code 2") && told.contains("readable"), "{told}{}", said(&output));
    assert!(said(&output).contains("No space left on device"), "{}", said(&output));
    let whole = tempfile::tempdir().unwrap();
    assert!(swapscale(&run_of("60"), whole.path()).output().unwrap().status.success());
    let same = content(&run_in(&dir).unwrap()) == content(&run_in(&whole).unwrap());
    assert!(same, "figures differ: {}", said(&output));
    eprintln!("a full disk: no cell lost, every figure the same");
}

/// Where two CPUs are, a worker is moved off its own in the middle of a trial, as it is when
/// that goes offline or the cpuset shrinks.
#[test]
fn a_cpu_that_is_taken_away_ends_the_run_and_keeps_its_cells() {
    let dir = tempfile::tempdir().unwrap();
    let Some([first, second]) = two_cpus() else { return eprintln!("left out: one CPU") };
    let args = ["run", "--variant", "percluster", "--workload", "churn", "--threads", "1"];
    let rest = ["--trials", "500", "--seconds", "0.05", "--size", "4MiB", "--pin", &second];
    let mut child =
        swapscale(&[&args[..], &rest, &["--out", "runs"]].concat(), dir.path()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // A cell is done: the next trial begins.
    let done = |line: &String| line.starts_with('[') && !line.contains("refused");
    assert!(lines.by_ref().map_while(Result::ok).any(|line| done(&line)));
    let tasks = format!("/proc/{}/task", child.id());
    let mut text = String::new();
    while child.try_wait().unwrap().is_none() {
        for task in fs::read_dir(&tasks).into_iter().flatten().flatten() {
            let task = task.file_name().into_string().unwrap();
            let _ = Command::new("taskset").args(["-p", "-c", &first, &task]).output();
        }
    }
    for line in lines.map_while(Result::ok) {
        text += &(line + "\n");
    }
    assert_eq!(child.wait().unwrap().code(), Some(2), "{text}");
    let why = text.lines().last().unwrap();
    assert!(why.contains(&format!("CPU {second} was taken away")), "{text}");
    let run = run_in(&dir).unwrap();
    assert!(whole_lines(&run).lines().count() >= 1);
}

/// The numbers of two CPUs that this process may use.
fn two_cpus() -> Option<[String; 2]> {
    let topology = machine::topology::Topology::here().ok()?;
    let ids: Vec<String> = topology.cpus().iter().map(|cpu| cpu.id.to_string()).collect();
    ids.first_chunk().cloned()
}

/// Resident memory while a run is under way, which must not grow with its cells. 800 of them
/// here, 10,000 in `make test-long`.
#[test]
fn memory_is_bounded_over_many_cells() {
    let dir = tempfile::tempdir().unwrap();
    let all = number("SWAPSCALE_CELLS", 800);
    let trials = all.to_string();
    let mut args = run_of(&trials);
    args[8] = "0.0001";
    let mut child = swapscale(&args, dir.path()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let resident = || {
        let status = fs::read_to_string(&status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    let (mut early, mut late) = (0, 0);
    let marks = [all / 10, all - 1].map(|n| format!("[{n}/{all}]"));
    for line in BufReader::new(child.stderr.as_mut().unwrap()).lines().map_while(Result::ok) {
        if line.starts_with(&marks[0]) {
            early = resident();
        } else if line.starts_with(&marks[1]) {
            late = resident();
        }
    }
    child.stdout.take().unwrap().read_to_end(&mut Vec::new()).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(early > 0 && late > 0, "the marks {marks:?} were not seen");
    eprintln!("{early} KiB after {} cells, {late} KiB after {}", all / 10, all - 1);
    // Some 45 KiB per cell: 64 may wait for the disk at either mark, all would be far more.
    let most = early + 8192;
    assert!(late < most, "{early} KiB grew to {late} KiB over {all} cells");
}

/// A clock that steps back gives a run an older name: both runs stay, and times within a run
/// come from a clock that does not step.
#[test]
fn a_clock_that_steps_names_runs_but_times_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rooms = fs::read_dir(root).unwrap().flatten().map(|room| room.path().join("src"));
    let mut dirs: Vec<_> = rooms.chain([root.join("src")]).filter(|dir| dir.is_dir()).collect();
    let mut wall = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path()) {
            if entry.is_dir() {
                dirs.push(entry);
            } else if let Ok(text) = fs::read_to_string(&entry) {
                let lines = text.lines().filter(|line| {
                    line.contains("Timestamp::now()") || line.contains("SystemTime::now()")
                });
                wall.extend(lines.map(|line| line.trim().to_owned()));
            }
        }
    }
    assert_eq!(wall, ["timestamp(SystemTime::now())"], "one place, in results/src/store.rs");
    let root = tempfile::tempdir().unwrap();
    let at = |text: &str| {
        let run = results::schema::Run {
            id: results::store::run_id(text.parse().unwrap(), "host", "label"),
            ..results::example::run()
        };
        let writer = results::store::Writer::create(root.path(), run).unwrap();
        writer.dir().to_owned()
    };
    let runs = ["2026-01-02T03:04:05Z", "2026-01-01T03:04:05Z", "2026-01-03T03:04:05Z"].map(at);
    let all = results::store::load_all(&[root.path()]).unwrap();
    assert_eq!(all.len(), runs.len(), "none has taken another's place");
}

/// The date that is not this run's own: what the clock has said when the run began.
fn began(run: &Path, hours: i64) {
    let path = run.join("run.json");
    let mut json: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let created: jiff::Timestamp = json["created_utc"].as_str().unwrap().parse().unwrap();
    let stepped = created + jiff::Span::new().hours(hours);
    json["created_utc"] = stepped.to_string().into();
    fs::write(path, serde_json::to_string_pretty(&json).unwrap()).unwrap();
    for file in fs::read_dir(run).unwrap().flatten() {
        let file = fs::File::options().write(true).open(file.path()).unwrap();
        file.set_modified(stepped.into()).unwrap();
    }
}

/// The clock steps by a day, forwards or backwards, while a run waits to be resumed.
#[test]
fn a_clock_that_steps_by_a_day_changes_no_figure() {
    let dir = tempfile::tempdir().unwrap();
    assert!(swapscale(&run_of("6"), dir.path()).output().unwrap().status.success());
    let run = run_in(&dir).unwrap();
    let (expected, report) = (content(&run), ["report", run.to_str().unwrap()]);
    let figures = || {
        let output = swapscale(&report, dir.path()).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        let dated = |line: &&str| !line.contains(&run_date(&run));
        text.lines().filter(dated).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = figures();
    for hours in [-24, 24] {
        cut(&run, 2);
        began(&run, hours);
        let output = swapscale(&resume(&run), dir.path()).output().unwrap();
        assert!(output.status.success(), "{hours}: {}", said(&output));
        assert!(content(&run) == expected, "{hours}: not the cells of a run without a step");
        assert_eq!(figures(), before, "{hours}");
        began(&run, -hours);
    }
    // The clocks that time intervals, where this user may have a time namespace.
    cut(&run, 2);
    let day = ["--time", "--monotonic", "86400", "--boottime", "86400", "--fork", "--"];
    let output = Command::new("unshare")
        .args(day)
        .arg(env!("CARGO_BIN_EXE_swapscale"))
        .args(resume(&run))
        .current_dir(dir.path())
        .output();
    match output {
        Ok(output) if output.status.success() => assert!(content(&run) == expected),
        other => eprintln!("left out: no time namespace here: {other:?}"),
    }
    eprintln!("a clock that steps by 24 hours: no cell lost, every figure the same");
}

/// As a report shows it.
fn run_date(run: &Path) -> String {
    let loaded = results::store::load(run).unwrap();
    loaded.run.created_utc.chars().take(10).collect()
}

/// A run that is refused as a whole leaves no directory behind. Needs chrt and the right to use it.
#[test]
fn a_refusal_under_a_real_time_policy_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let Some([first, _]) = two_cpus() else { return eprintln!("left out: one CPU") };
    let mut native = run_of("1");
    native.drain(1..3);
    let alone = ["-c", &first, "chrt", "-f", "1", env!("CARGO_BIN_EXE_swapscale")];
    let output =
        Command::new("taskset").args(alone).args(native).current_dir(dir.path()).output().unwrap();
    if !said(&output).contains("SCHED_FIFO") {
        return eprintln!("left out: no real-time policy here: {}", said(&output));
    }
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert_eq!(said(&output).lines().count(), 1, "{}", said(&output));
    assert!(!dir.path().join("runs").exists(), "a run without a cell");
}

/// A limit on the threads of a user that has no other, which needs root to become that user.
#[test]
fn a_pool_that_cannot_start_ends_with_one_line() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let user = ["--reuid", "54321", "--clear-groups", "prlimit", "--nproc=1"];
    let run = Command::new("setpriv")
        .args(user)
        .arg(env!("CARGO_BIN_EXE_swapscale"))
        .args(run_of("1"))
        .env("RAYON_NUM_THREADS", "3")
        .current_dir(dir.path())
        .output();
    match run {
        Ok(output) if said(&output).contains("threads cannot be started") => {
            assert_eq!(output.status.code(), Some(2), "{}", said(&output));
            assert_eq!(said(&output).lines().count(), 1, "{}", said(&output));
            assert!(!dir.path().join("runs").exists(), "a run without a cell");
        }
        Ok(output) if said(&output).contains("panicked") => panic!("{}", said(&output)),
        other => eprintln!("left out: no user with a limit here: {other:?}"),
    }
}
