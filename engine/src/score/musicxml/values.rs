//! Elements and what they say, in numbers.

use roxmltree::Node;

/// The first child element of a name.
pub fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.has_tag_name(name))
}

/// The text of the first child element of a name, without surrounding blanks.
pub fn text<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    child(node, name)?.text().map(str::trim).filter(|text| !text.is_empty())
}

/// The number in the first child element of a name.
pub fn number<T: std::str::FromStr>(node: Node<'_, '_>, name: &str) -> Option<T> {
    text(node, name)?.parse().ok()
}

/// Quarter notes of a note type, as "eighth".
pub fn quarters(kind: &str) -> Option<f64> {
    const KINDS: [&str; 12] =
        ["maxima", "long", "breve", "whole", "half", "quarter", "eighth", "16th", "32nd", "64th", "128th", "256th"];
    let place = KINDS.iter().position(|name| *name == kind)?;
    Some(32.0 / f64::from(1u32 << place))
}

/// Semitones above C of a step, as "G".
pub fn semitones(step: &str) -> Option<i32> {
    let place = ["C", "D", "E", "F", "G", "A", "B"].iter().position(|name| name.eq_ignore_ascii_case(step))?;
    Some([0, 2, 4, 5, 7, 9, 11][place])
}

/// MIDI velocity of a dynamic mark, as "mf"; nothing for marks of a single note, as "sfz".
pub fn velocity(mark: &str) -> Option<u8> {
    let marks = ["pppp", "ppp", "pp", "p", "mp", "mf", "f", "ff", "fff", "ffff"];
    let place = marks.iter().position(|name| *name == mark)?;
    Some([8, 16, 33, 49, 64, 80, 96, 112, 126, 127][place])
}

/// MIDI velocity of a share of forte in per cent; forte is 90, as MusicXML defines it.
pub fn velocity_of_share(per_cent: f64) -> u8 {
    (per_cent * 0.9).round().clamp(1.0, 127.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_values_are_numbers() {
        assert_eq!([quarters("whole"), quarters("quarter"), quarters("16th")], [Some(4.0), Some(1.0), Some(0.25)]);
        assert_eq!([semitones("C"), semitones("B"), semitones("H")], [Some(0), Some(11), None]);
        assert_eq!([velocity("p"), velocity("sfz")], [Some(49), None]);
    }
}
