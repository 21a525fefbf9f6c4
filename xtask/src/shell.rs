//! Running other programs: what they print is shown when they fail, and their absence has a sentence.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::layout;

/// A program to be run in the checkout.
pub fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(layout::root());
    command
}

/// `cargo`, the one that runs us.
pub fn cargo() -> Command {
    program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The Python of the tests.
pub fn python() -> Command {
    let mut command = program(layout::python());
    // A host must not find our process's settings, and basic-pitch must not talk about back ends that it lacks.
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("ORT_DISABLE_TELEMETRY", "1");
    command
}

/// Runs it with its output on ours.
pub fn show(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| absent(command))?;
    if !status.success() {
        bail!("`{}` failed ({status}); what it says above is the cause", describe(command));
    }
    Ok(())
}

/// Lines of a panic's message that are told again, besides the first: the last, where a host that failed says why.
const PANIC_LINES: usize = 30;

/// Runs tests with their output on ours. Where one fails, the error ends with what each panic said: it would be looked for in
/// a long output.
pub fn show_tests(command: &mut Command) -> Result<()> {
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| absent(command))?;
    let mut panics = Panics::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            panics.line(&line);
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("`{}` failed ({status})\n{}", describe(command), panics.text());
    }
    Ok(())
}

/// What panics said, among what libtest prints of the tests that failed.
#[derive(Debug, Default)]
struct Panics {
    said: Vec<VecDeque<String>>,
    speaking: bool,
}

impl Panics {
    fn line(&mut self, line: &str) {
        // The panic's own backtrace, and that of an error which it tells.
        let over = ["stack backtrace:", "Stack backtrace:", "note: run with `RUST_BACKTRACE", "---- ", "failures:"];
        if line.starts_with("thread '") && line.contains("panicked at") {
            self.said.push(VecDeque::new());
            self.speaking = true;
        } else if over.iter().any(|start| line.starts_with(start)) {
            self.speaking = false;
        }
        if let Some(said) = self.said.last_mut().filter(|_| self.speaking) {
            if said.len() > PANIC_LINES {
                said.remove(1);
            }
            said.push_back(line.to_owned());
        }
    }

    fn text(&self) -> String {
        self.said.iter().flatten().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// Runs it in silence; what it printed is shown if it fails.
pub fn quiet(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| absent(command))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!(
            "`{}` failed ({}):\n{text}{}",
            describe(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(text)
}

fn absent(command: &Command) -> String {
    format!("`{}` cannot be started: is it installed, and on PATH?", command.get_program().to_string_lossy())
}

/// The command as one would type it, paths below the checkout shortened.
pub fn describe(command: &Command) -> String {
    let root = layout::root();
    let short = |word: &OsStr| {
        let path = Path::new(word);
        path.strip_prefix(&root).unwrap_or(path).display().to_string()
    };
    std::iter::once(command.get_program()).chain(command.get_args()).map(short).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_panic_said_is_found_in_the_output_of_tests() {
        let mut panics = Panics::default();
        let output = "running 2 tests\n\n---- one stdout ----\n\nthread 'one' (7) panicked at cases/truth.rs:8:5:\n\
            assertion `left == right` failed\n  left: 1\n right: 2\nstack backtrace:\n   0: begin\n\n---- two stdout ----\n\
            thread 'two' panicked at cases/truth.rs:9:5:\nardour failed\nnote: run with `RUST_BACKTRACE=1`\nfailures:\n    one";
        output.lines().for_each(|line| panics.line(line));
        let said = [
            "thread 'one' (7) panicked at cases/truth.rs:8:5:",
            "assertion `left == right` failed",
            "  left: 1",
            " right: 2",
            "thread 'two' panicked at cases/truth.rs:9:5:",
            "ardour failed",
        ];
        assert_eq!(panics.text(), said.join("\n"));
    }

    #[test]
    fn of_a_long_message_the_last_lines_are_kept() {
        let mut panics = Panics::default();
        panics.line("thread 'one' panicked at cases/truth.rs:8:5:");
        (0..100).for_each(|i| panics.line(&format!("word {i}")));
        panics.line("Stack backtrace:");
        panics.line("   0: record");
        let text = panics.text();
        assert_eq!(text.lines().count(), 1 + PANIC_LINES);
        assert!(text.starts_with("thread 'one' panicked") && text.ends_with("word 98\nword 99"), "{text}");
    }

    #[cfg(unix)]
    #[test]
    fn tests_that_fail_say_so() {
        let error =
            show_tests(program("sh").args(["-c", "echo \"thread 'a' panicked at b:\"; echo why; exit 3"])).unwrap_err();
        assert!(error.to_string().ends_with("thread 'a' panicked at b:\nwhy"), "{error}");
        show_tests(&mut program("true")).unwrap();
    }
}
