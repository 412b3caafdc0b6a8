//! The worker processes, seen from the controller. Guards the run against them: every wait has a
//! deadline, and a crew that goes out of scope is killed and reaped.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::recorder::{Interval, Report};
use super::worker::{ARGV, Reply, Spec};
use super::{Error, sys};

/// One worker process.
struct Member {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    received: Vec<u8>,
    cpus: Vec<usize>,
}

/// All workers of one trial.
pub struct Crew(Vec<Member>);

impl Crew {
    /// Starts one worker per spec and waits until all have their memory ready.
    ///
    /// # Errors
    /// That of starting a worker, of one that fails or dies, or of one that takes longer than
    /// `patience`; [`Error::Interrupted`] after a signal.
    pub fn start(specs: &[Spec], patience: Duration) -> Result<Crew, Error> {
        let mut crew = Crew(Vec::new());
        for spec in specs {
            crew.0.push(Member::spawn(spec)?);
        }
        let deadline = Instant::now() + patience;
        for member in &mut crew.0 {
            match member.receive(deadline)? {
                Reply::Ready => {}
                other => return Err(unexpected(other)),
            }
        }
        Ok(crew)
    }

    /// The pids, each with the CPUs that it and its children use.
    pub fn tasks(&self) -> Vec<(u32, Vec<usize>)> {
        self.0.iter().map(|member| (member.child.id(), member.cpus.clone())).collect()
    }

    /// Sends the interval to every worker; the load begins now.
    ///
    /// # Errors
    /// That of writing to a worker that has died.
    pub fn go(&mut self, interval: Interval) -> Result<(), Error> {
        self.0.iter_mut().try_for_each(|member| member.send(&interval))
    }

    /// The reports of all workers, in the order of the specs.
    ///
    /// # Errors
    /// As [`Crew::start`].
    pub fn reports(mut self, patience: Duration) -> Result<Vec<Report>, Error> {
        let deadline = Instant::now() + patience;
        let reports = self.0.iter_mut().map(|member| match member.receive(deadline)? {
            Reply::Report(report) => Ok(report),
            other => Err(unexpected(other)),
        });
        reports.collect()
    }
}

fn unexpected(reply: Reply) -> Error {
    Error::Refused(match reply {
        Reply::Failed(why) => format!("a worker failed: {why}"),
        other => format!("a worker sent {other:?} out of turn"),
    })
}

impl Member {
    fn spawn(spec: &Spec) -> Result<Member, Error> {
        let mut child = Command::new("/proc/self/exe")
            .args(ARGV)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Error::system("cannot start a worker"))?;
        let input = child.stdin.take().expect("piped");
        let output = child.stdout.take().expect("piped");
        let cpus =
            if spec.cpu == spec.peer_cpu { vec![spec.cpu] } else { vec![spec.cpu, spec.peer_cpu] };
        let mut member = Member { child, input, output, received: Vec::new(), cpus };
        member.send(spec)?;
        Ok(member)
    }

    fn send(&mut self, what: &impl serde::Serialize) -> Result<(), Error> {
        let mut line = serde_json::to_vec(what).expect("plain data");
        line.push(b'\n');
        self.input.write_all(&line).map_err(Error::system("cannot tell a worker what to do"))
    }

    /// The next line, or an error at the deadline, at a signal, or when the worker has died.
    fn receive(&mut self, deadline: Instant) -> Result<Reply, Error> {
        let failed = "cannot read from a worker";
        loop {
            if let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                return serde_json::from_slice(&line)
                    .map_err(|error| Error::Refused(format!("{failed}: {error}")));
            }
            super::check_stop()?;
            if Instant::now() > deadline {
                return Err(Error::Refused("a worker did not answer in time".into()));
            }
            let slice = Duration::from_millis(50);
            if sys::readable(self.output.as_fd(), slice).map_err(Error::system(failed))? {
                let mut chunk = [0; 1 << 16];
                let read = self.output.read(&mut chunk).map_err(Error::system(failed))?;
                if read == 0 {
                    return Err(Error::Refused(format!("a worker died ({})", self.end())));
                }
                self.received.extend_from_slice(&chunk[..read]);
            }
        }
    }

    fn end(&mut self) -> String {
        let end = super::within(Duration::from_secs(1), || {
            self.child.try_wait()?.ok_or_else(|| std::io::ErrorKind::ResourceBusy.into())
        });
        end.map_or_else(|error| error.to_string(), |status| status.to_string())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // A worker that has reported exits by itself; killing it then changes nothing.
        let _ = self.child.kill();
        self.end();
    }
}
