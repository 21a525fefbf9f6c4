//! The figures of a whole run, for whoever starts a host to measure it: `cargo xtask demo`, and tests that break things
//! around a bundled plug-in.
//!
//! Runs on the thread that ends the engine, after its workers have ended. Does nothing in a musician's host, where the
//! variable is not set; a file that cannot be written is said in the log.

use super::telemetry::Telemetry;
use std::fmt::Write;

/// Names the file to which an engine that ends writes its figures, as JSON. Read, never set.
const VARIABLE: &str = "RIPIENO_TELEMETRY";

/// Writes the figures of an engine that ends, if somebody asked for them.
pub(super) fn leave(telemetry: &Telemetry) {
    let Some(file) = std::env::var_os(VARIABLE) else { return };
    if let Err(error) = std::fs::write(&file, json(telemetry)) {
        log::error!("{} cannot be written: {error}.", file.to_string_lossy());
    }
}

fn json(telemetry: &Telemetry) -> String {
    let mut text = String::from("{\n");
    let mut field = |name: &str, value: String| {
        let comma = if name == "status" { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  \"{name}\": {value}{comma}");
    };
    field("real_time_factor", format!("{:.4}", telemetry.real_time_factor()));
    field("slowest_segment", format!("{:.4}", telemetry.slowest_segment()));
    field("segments", telemetry.segments().to_string());
    field("short_segments", telemetry.short_segments().to_string());
    field("steps", telemetry.steps().to_string());
    field("underruns", telemetry.underruns().to_string());
    field("lost_events", telemetry.lost_events().to_string());
    field("latency_samples", telemetry.latency_samples().to_string());
    field("provider", quoted(&telemetry.provider()));
    field("status", quoted(&telemetry.status().sentence));
    text.push_str("}\n");
    text
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::StatusKind;

    #[test]
    fn a_sentence_with_quotes_and_a_line_break_is_one_json_string() {
        assert_eq!(quoted("\"C:\\ripieno\"\nis missing"), r#""\"C:\\ripieno\"\u000ais missing""#);
    }

    #[test]
    fn the_figures_end_with_the_sentence_that_the_editor_showed_last() {
        let telemetry = Telemetry::new();
        telemetry.set_status(StatusKind::Failed, "No models.");
        assert!(json(&telemetry).ends_with("\"status\": \"No models.\"\n}\n"));
    }
}
