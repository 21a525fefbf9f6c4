//! What the audio thread asks of the system while it processes: nothing.
//!
//! `strace` writes down every system call of the one thread that calls `process()`; between two marks that the test makes
//! around it there may be none. A lock that is taken, memory that is mapped, a page that is asked for, a file, a wait, a
//! log line: each would be a call. One is allowed where a parameter changes: to wake the thread that takes it to the engine,
//! which waits for nothing (`futex`, `FUTEX_WAKE`). Skipped, with a sentence, where there is no `strace`, or where the system
//! lets no program watch another, not even its own child: some containers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ripieno_tests::clap_host::{Input, Instance, Library};
use ripieno_tests::files;

const RATE: u32 = 48_000;
const BLOCK: usize = 256;

/// A call that does nothing and is seen: it writes to no file.
fn mark(text: &[u8]) {
    // SAFETY: `text` is readable for its length; the descriptor is none, so that the system looks no further.
    unsafe { libc::write(-1, text.as_ptr().cast(), text.len()) };
}

/// Writes the system calls of this thread into a file, until it is ended.
struct Watcher(Child);

/// Why nobody watches.
enum Refusal {
    /// This machine has nothing to watch with: a sentence.
    Cannot(String),
    /// It has, and yet nobody watches: what was said.
    DoesNot(String),
}

impl Watcher {
    fn start(file: &Path) -> Result<Self, Refusal> {
        // A parent may be watched by its child where the system is strict about who may watch whom.
        // SAFETY: the call takes numbers alone.
        unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY, 0, 0, 0) };
        // SAFETY: it has no preconditions.
        let thread = unsafe { libc::gettid() };
        let strace = Command::new("strace")
            .args(["-q", "-p", &thread.to_string(), "-o"])
            .arg(file)
            .stderr(Stdio::piped())
            .spawn();
        let mut strace = match strace {
            Ok(strace) => strace,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Refusal::Cannot("there is no strace; on Debian: apt-get install strace".to_owned()));
            }
            Err(error) => return Err(Refusal::DoesNot(error.to_string())),
        };
        let status = format!("/proc/self/task/{thread}/status");
        let begun = Instant::now();
        loop {
            let text = fs::read_to_string(&status).unwrap();
            let tracer = text.lines().find_map(|line| line.strip_prefix("TracerPid:")).unwrap();
            if tracer.trim() != "0" {
                return Ok(Self(strace));
            }
            if strace.try_wait().unwrap().is_some() || begun.elapsed() > Duration::from_secs(20) {
                let _ = strace.kill();
                let mut said = String::new();
                strace.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                let _ = strace.wait();
                return Err(match nobody_may_watch() {
                    Some(error) => {
                        Refusal::Cannot(format!("no program may watch another here ({error}): {}", said.trim()))
                    }
                    None => Refusal::DoesNot(said),
                });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The system's error where it forbids even a parent to watch its child, which it allows wherever it allows anything;
/// with what Linux's switch for it says, where there is one.
fn nobody_may_watch() -> Option<String> {
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    // SAFETY: the child is ours and has not been waited for; the call reads numbers alone and does not stop it.
    let refused = unsafe { libc::ptrace(libc::PTRACE_SEIZE, child.id() as libc::pid_t, 0, 0) } != 0;
    let error = std::io::Error::last_os_error();
    child.kill().unwrap();
    let _ = child.wait();
    let switch = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let switch = if switch.is_empty() { String::new() } else { format!("; ptrace_scope is {}", switch.trim()) };
    refused.then(|| format!("{error}{switch}"))
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // It lets go of us and ends.
        // SAFETY: the child is ours and has not been waited for, so that its number is nobody else's.
        unsafe { libc::kill(self.0.id() as i32, libc::SIGINT) };
        let _ = self.0.wait();
    }
}

/// The calls between the marks, and how many marks there were.
fn between_marks(trace: &str) -> (Vec<&str>, usize) {
    let (mut inside, mut calls, mut marks) = (false, Vec::new(), 0);
    for line in trace.lines() {
        match line {
            _ if line.starts_with("write(-1, \"process\"") => (inside, marks) = (true, marks + 1),
            _ if line.starts_with("write(-1, \"done\"") => inside = false,
            _ if inside => calls.push(line),
            _ => {}
        }
    }
    (calls, marks)
}

/// A block of every third sixteenth has a key or two; some change a parameter.
fn play(plugin: &mut Instance, blocks: usize, changes: &[(&str, &str)]) {
    for block in 0..blocks {
        let key = 55 + (block * 7 % 24) as u8;
        let events: &[Input] = match block % 24 {
            0 => &[Input { offset: 17, key, velocity: 90 }, Input { offset: 200, key: key + 5, velocity: 70 }],
            20 => &[Input { offset: 0, key: 55 + ((block - 20) * 7 % 24) as u8, velocity: 0 }],
            _ => &[],
        };
        if let Some((name, value)) = changes.get(block / 40).filter(|_| block % 40 == 39) {
            plugin.set(name, value).unwrap();
        }
        plugin.process(BLOCK, events).unwrap();
        std::thread::sleep(Duration::from_secs_f64(BLOCK as f64 / f64::from(RATE)));
    }
}

#[test]
fn the_audio_thread_makes_no_system_call() {
    // SAFETY: the framework's macro exports a whole entry.
    let library = unsafe { Library::from_entry(&ripieno::clap_entry) }.unwrap();
    let mut plugin = library.instantiate("Ripieno Multi").unwrap();
    plugin.set("Quality", "1 steps").unwrap();
    // What a bounce waits for is there when it is played.
    plugin.set_offline(true).unwrap();
    plugin.activate(f64::from(RATE), BLOCK as u32).unwrap();
    plugin.process(BLOCK, &[]).unwrap();
    plugin.deactivate();
    plugin.set_offline(false).unwrap();
    plugin.activate(f64::from(RATE), BLOCK as u32).unwrap();
    plugin.audio().unwrap().mark(|| mark(b"process"), || mark(b"done"));

    let folder = files::fresh_folder("system-calls").unwrap();
    let file = folder.join("strace.txt");
    let watcher = match Watcher::start(&file) {
        Ok(watcher) => watcher,
        Err(Refusal::Cannot(why)) => {
            // Not by a macro, whose words are kept back where a test passes.
            let _ = writeln!(std::io::stderr(), "the_audio_thread_makes_no_system_call is skipped: {why}");
            return;
        }
        Err(Refusal::DoesNot(said)) => panic!("strace may watch here and does not: {said}"),
    };
    let blocks = 3 * RATE as usize / BLOCK;
    // The first use of each path, too: both modes, a change between them while keys are held, a reset.
    play(&mut plugin, blocks, &[]);
    plugin.audio().unwrap().reset();
    play(
        &mut plugin,
        blocks,
        &[("Mode", "Sync"), ("Output gain", "-6.0 dB"), ("Mode", "Live"), ("Quality", "1 steps")],
    );
    drop(watcher);

    let trace = fs::read_to_string(&file).unwrap();
    let (calls, marks) = between_marks(&trace);
    assert_eq!(marks, 2 * blocks, "marks that strace saw");
    let others: Vec<&&str> = calls.iter().filter(|call| !wakes(call)).collect();
    assert!(others.is_empty(), "{} system calls inside process(): {others:#?}", others.len());
    // One for each change that the engine must hear of, at most.
    assert!(calls.len() <= 4, "{calls:#?}");
}

/// Whether a call wakes another thread and waits for nothing.
fn wakes(call: &str) -> bool {
    call.starts_with("futex(") && call.contains("FUTEX_WAKE")
}

#[test]
fn what_lies_between_marks_is_found() {
    let trace = "nanosleep(..) = 0\nwrite(-1, \"process\", 7) = -1 EBADF\nmmap(..) = 0\nfutex(0x1, FUTEX_WAKE_PRIVATE, 1) = 1\n\
                 write(-1, \"done\", 4) = -1 EBADF\nmunmap(..) = 0\nwrite(-1, \"process\", 7) = -1 EBADF\n";
    let (calls, marks) = between_marks(trace);
    assert_eq!((calls.len(), marks), (2, 2));
    assert_eq!(calls.iter().map(|call| wakes(call)).collect::<Vec<_>>(), [false, true]);
    assert!(!wakes("futex(0x1, FUTEX_WAIT_PRIVATE, 0, NULL) = 0"));
}
