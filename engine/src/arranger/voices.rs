//! Which trained part of a network serves which part of an ensemble.

use super::ensemble::EnsemblePart;

/// The General MIDI programs of the trained parts that are families of instruments, as their networks were trained.
pub(super) const FAMILIES: [(&str, &[std::ops::RangeInclusive<u8>]); 5] = [
    ("piano", &[0..=7]),
    ("guitar", &[24..=31]),
    ("bass", &[32..=39]),
    ("strings", &[40..=45, 48..=51]),
    ("brass", &[56..=63]),
];

/// The trained part of every part, by its index in `voices`.
///
/// Where every part names one that the network has, those; as many parts as trained parts serve in order, unless the
/// trained parts are families of instruments. Else by name, by instrument, and what is left by range: the parts in order
/// of the middles of their ranges are spread over the trained parts.
pub(super) fn serve(parts: &[EnsemblePart], voices: &[String]) -> Vec<usize> {
    let place = |name: &str| voices.iter().position(|voice| voice == name);
    let named: Option<Vec<usize>> = parts.iter().map(|part| place(part.voice.as_deref()?)).collect();
    if let Some(named) = named {
        return named;
    }
    let families = voices.iter().all(|voice| FAMILIES.iter().any(|(family, _)| family == voice));
    if parts.len() == voices.len() && !families {
        return (0..parts.len()).collect();
    }
    let mut by_height: Vec<usize> = (0..parts.len()).collect();
    by_height.sort_by(|&a, &b| parts[b].middle().total_cmp(&parts[a].middle()));
    let by_role = |part: &EnsemblePart| {
        let letters: String = part.name.chars().filter(char::is_ascii_alphanumeric).collect();
        let by_instrument = || {
            let of = |(_, programs): &&(&str, &[std::ops::RangeInclusive<u8>])| {
                programs.iter().any(|range| range.contains(&part.program))
            };
            FAMILIES.iter().find(of).and_then(|(family, _)| place(family))
        };
        place(&letters.to_ascii_lowercase()).or_else(by_instrument)
    };
    let mut serving = vec![0; parts.len()];
    for (rank, &part) in by_height.iter().enumerate() {
        serving[part] = by_role(&parts[part]).unwrap_or(rank * voices.len() / parts.len());
    }
    serving
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, program: u8, middle: u8, voice: Option<&str>) -> EnsemblePart {
        let (lo, hi) = (middle - 10, middle + 10);
        let voice = voice.map(str::to_owned);
        EnsemblePart { name: name.into(), program, lo, hi, mono: true, most: 0, colour: [0; 3], voice }
    }

    fn voices(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    const CHOIR: [&str; 4] = ["soprano", "alto", "tenor", "bass"];

    #[test]
    fn a_mapping_that_is_given_holds() {
        let parts = [part("A", 0, 80, Some("tenor")), part("B", 0, 60, Some("alto"))];
        assert_eq!(serve(&parts, &voices(&CHOIR)), [2, 1]);
    }

    #[test]
    fn as_many_parts_as_trained_parts_serve_in_order() {
        let parts = [80, 60, 70, 40].map(|middle| part("X", 0, middle, None));
        assert_eq!(serve(&parts, &voices(&CHOIR)), [0, 1, 2, 3]);
    }

    #[test]
    fn others_are_found_by_name_by_instrument_and_by_range() {
        let pop = voices(&["piano", "guitar", "bass", "strings", "brass"]);
        let parts = [part("Strings", 99, 70, None), part("Steel", 25, 60, None), part("Low", 33, 40, None)];
        assert_eq!(serve(&parts, &pop), [3, 1, 2]);
        let five = [80, 74, 66, 58, 44].map(|middle| part("X", 120, middle, None));
        assert_eq!(serve(&five, &voices(&CHOIR)), [0, 0, 1, 2, 3]);
    }
}
