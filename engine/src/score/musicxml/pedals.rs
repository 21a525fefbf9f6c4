//! Pedals: MIDI controllers here, signs for players and `sound` for programs there.

use std::fmt::Write as _;

use crate::score::{Control, pedal};

/// The sustain pedal's controller.
pub const DAMPER: u8 = 64;
/// Attributes of a sound element that move a pedal, and the pedals' MIDI controllers.
pub const PEDALS: [(&str, u8); 3] = [("damper-pedal", DAMPER), ("sostenuto-pedal", 66), ("soft-pedal", 67)];

/// Where an attribute says that a pedal goes, as a controller's value: down, up, or per cent.
pub fn value(said: &str) -> Option<u8> {
    match said.trim() {
        "yes" => Some(127),
        "no" => Some(0),
        per_cent => {
            let share = per_cent.parse::<f64>().ok().filter(|share| (0.0..=100.0).contains(share))?;
            Some((share * 1.27).round() as u8)
        }
    }
}

fn said(value: u8) -> String {
    match value {
        0 => "no".into(),
        127.. => "yes".into(),
        share => format!("{:.2}", f64::from(share) / 1.27),
    }
}

/// Where the sustain pedal goes at a sign, one after another.
pub fn moved_by_sign(kind: &str) -> &'static [u8] {
    match kind {
        "start" | "resume" => &[127],
        "stop" | "discontinue" => &[0],
        "change" => &[0, 127],
        _ => &[],
    }
}

/// The directions of one part's pedals, in order. A sustain pedal that is half down is drawn up or down, and heard as it
/// is.
pub struct Pedals<'a> {
    left: &'a [Control],
    down: bool,
}

impl<'a> Pedals<'a> {
    /// Of controllers in order of time; those that are no pedals are left out.
    pub fn new(controls: &'a [Control]) -> Self {
        Self { left: controls, down: false }
    }

    /// Writes what comes before tick `until`, where the file has come to tick `now`; gives how many.
    pub fn write(&mut self, until: u64, now: u64, out: &mut String) -> usize {
        let mut written = 0;
        while let Some((control, left)) = self.left.split_first().filter(|(control, _)| control.tick < until) {
            self.left = left;
            written += usize::from(self.write_one(control, i128::from(control.tick) - i128::from(now), out));
        }
        written
    }

    fn write_one(&mut self, control: &Control, ticks: i128, out: &mut String) -> bool {
        let (number, value) = match pedal::position(control) {
            Some(value) => (DAMPER, value),
            None => (control.number, control.value),
        };
        let Some((attribute, _)) = PEDALS.iter().find(|(_, pedal)| *pedal == number) else { return false };
        let down = value >= 64;
        out.push_str("<direction placement=\"below\"><direction-type>");
        if number == DAMPER && down != self.down {
            let kind = if down { "start" } else { "stop" };
            let _ = write!(out, "<pedal type=\"{kind}\" line=\"yes\"/>");
            self.down = down;
        } else {
            let _ = write!(out, "<other-direction print-object=\"no\">{attribute}</other-direction>");
        }
        out.push_str("</direction-type>");
        if ticks != 0 {
            let _ = write!(out, "<offset sound=\"yes\">{ticks}</offset>");
        }
        let _ = writeln!(out, "<sound {attribute}=\"{}\"/></direction>", said(value));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_a_pedal_is_read_as_it_is_written() {
        for written in 0..128 {
            assert_eq!(value(&said(written)), Some(written), "{}", said(written));
        }
    }
}
