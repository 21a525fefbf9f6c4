//! The list of parts: names and instruments.

use std::collections::BTreeMap;

use roxmltree::Node;

use super::values::{child, number, text};
use crate::score::limits;

/// General MIDI's percussion channel, 1-based as in MusicXML.
const DRUMS: u8 = 10;

/// What an instrument is to MIDI.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instrument {
    /// General MIDI program, 0-based.
    pub program: u8,
    /// Whether it is on the percussion channel.
    pub drums: bool,
    /// MIDI pitch of an instrument without pitches of its own.
    pub unpitched: Option<u8>,
}

/// What the list says about one part.
#[derive(Debug, Clone, Default)]
pub struct PartInfo {
    /// Its name, or empty.
    pub name: String,
    /// What plays notes that name no instrument.
    pub default: Instrument,
    /// Instruments by their id in the file.
    pub instruments: BTreeMap<String, Instrument>,
}

/// The parts of a score by their id.
pub fn parts(root: Node<'_, '_>) -> BTreeMap<String, PartInfo> {
    let list = child(root, "part-list").into_iter().flat_map(|list| list.children());
    let parts = list.filter(|node| node.has_tag_name("score-part"));
    parts.map(|part| (part.attribute("id").unwrap_or_default().to_owned(), part_info(part))).collect()
}

fn part_info(part: Node<'_, '_>) -> PartInfo {
    let midi: Vec<(&str, Instrument)> = part
        .children()
        .filter(|node| node.has_tag_name("midi-instrument"))
        .map(|node| (node.attribute("id").unwrap_or_default(), instrument(node)))
        .collect();
    let named = text(part, "part-name").filter(|name| *name != "MusicXML Part");
    let instrument_name = || child(part, "score-instrument").and_then(|node| text(node, "instrument-name"));
    let name = named.or_else(instrument_name).unwrap_or_default();
    PartInfo {
        name: limits::name(&name.split_whitespace().collect::<Vec<_>>().join(" ")),
        default: midi.first().map(|&(_, instrument)| instrument).unwrap_or_default(),
        instruments: midi.into_iter().map(|(id, instrument)| (id.to_owned(), instrument)).collect(),
    }
}

fn instrument(node: Node<'_, '_>) -> Instrument {
    let one_based = |name: &str| number::<u8>(node, name).filter(|n| (1..=128).contains(n)).map(|n| n - 1);
    Instrument {
        program: one_based("midi-program").unwrap_or(0),
        drums: number(node, "midi-channel") == Some(DRUMS),
        unpitched: one_based("midi-unpitched"),
    }
}
