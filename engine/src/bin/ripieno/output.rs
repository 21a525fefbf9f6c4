//! Lines for whoever runs the program. `println!` panics where the reader has gone, as after `| head -1`; here the
//! command goes on to write its files.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

/// A line of the standard output, formatted as by `println!`.
macro_rules! say {
    ($($words:tt)*) => { $crate::output::write(format_args!($($words)*)) };
}

/// What is not as asked, a line of the error output; formatted as by `eprintln!`.
macro_rules! note {
    ($($words:tt)*) => { $crate::output::tell(format_args!("note: {}", format_args!($($words)*))) };
}

pub(crate) use {note, say};

/// Writes a line to the standard output. Where it cannot, for another reason than that nobody reads, the program ends.
pub fn write(line: Arguments<'_>) {
    match writeln!(std::io::stdout().lock(), "{line}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            tell(format_args!("ripieno: the output cannot be written: {error}"));
            std::process::exit(1);
        }
        _ => {}
    }
}

/// Writes a line to the error output, if anybody reads it.
pub fn tell(line: Arguments<'_>) {
    // There is nowhere to say that this failed.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
