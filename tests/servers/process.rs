//! A child process that dies with its value, and the signals that a test sends it. Signals go to process ids that this test
//! binary started, or to their descendants; never to a name.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Receiver;

use rustix::process::{Pid, Signal, kill_process};

use super::wait_until;

/// A child that is killed, with all its descendants, when it is dropped.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// Sends one signal to the process itself.
    pub(crate) fn signal(&self, signal: Signal) {
        send(self.id(), signal);
    }

    /// SIGSTOP to the process and its descendants.
    pub(crate) fn pause(&self) {
        for id in self.family() {
            send(id, Signal::STOP);
        }
    }

    /// SIGCONT to the process and its descendants.
    pub(crate) fn resume(&self) {
        for id in self.family() {
            send(id, Signal::CONT);
        }
    }

    /// SIGKILL to the process and its descendants, the parent first so that it does not clean up after them; waits until all
    /// are gone.
    pub(crate) fn kill(&mut self) {
        if self.has_ended() {
            return;
        }
        let family = self.family();
        for id in &family {
            send(*id, Signal::KILL);
        }
        self.0.wait().unwrap();
        wait_until("the killed process and its descendants are gone", || family.iter().all(|id| !is_running(*id)));
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_until("the process ends", || self.0.try_wait().unwrap().is_some());
        self.0.wait().unwrap()
    }

    /// The lines of its standard output, which must be piped.
    pub(crate) fn lines(&mut self) -> Receiver<String> {
        let (sender, lines) = std::sync::mpsc::channel();
        let output = BufReader::new(self.0.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        lines
    }

    /// The process, its children, their children and so on.
    fn family(&self) -> Vec<u32> {
        let all: Vec<(u32, u32)> =
            std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| parent_of(&entry)).collect();
        let mut family = vec![self.id()];
        let mut next = 0;
        while next < family.len() {
            family.extend(
                all.iter().filter(|(_, parent)| *parent == family[next]).map(|(id, _)| *id).collect::<Vec<_>>(),
            );
            next += 1;
        }
        family
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a command that must succeed; returns its output.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let done = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn send(id: u32, signal: Signal) {
    // One that has just ended is no failure.
    let _ = kill_process(Pid::from_raw(i32::try_from(id).unwrap()).unwrap(), signal);
}

/// A process of `/proc` with its parent (proc(5): the second field, in parentheses, may hold anything).
fn parent_of(entry: &std::fs::DirEntry) -> Option<(u32, u32)> {
    let id = entry.file_name().to_str()?.parse().ok()?;
    let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    Some((id, rest.split_whitespace().nth(1)?.parse().ok()?))
}

/// Whether it is there, and more than an entry that nobody has collected yet.
fn is_running(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}
