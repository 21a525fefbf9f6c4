//! The ensembles there are: those compiled in, and the user's own.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::ensemble::{Ensemble, EnsembleError};
use crate::inference::locations;

/// The ensembles compiled in, in the order of the menu. New ones go to the end of their kind: projects save ids.
const TEXTS: [(&str, &str); NUMBER] = [
    ("satb-choir.toml", include_str!("../../../assets/ensembles/satb-choir.toml")),
    ("string-quartet.toml", include_str!("../../../assets/ensembles/string-quartet.toml")),
    ("woodwind-quartet.toml", include_str!("../../../assets/ensembles/woodwind-quartet.toml")),
    ("brass-quartet.toml", include_str!("../../../assets/ensembles/brass-quartet.toml")),
    ("sax-quartet.toml", include_str!("../../../assets/ensembles/sax-quartet.toml")),
    ("keyboard.toml", include_str!("../../../assets/ensembles/keyboard.toml")),
    ("solo.toml", include_str!("../../../assets/ensembles/solo.toml")),
    ("brass-quintet.toml", include_str!("../../../assets/ensembles/brass-quintet.toml")),
    ("woodwind-quintet.toml", include_str!("../../../assets/ensembles/woodwind-quintet.toml")),
    ("rock-band.toml", include_str!("../../../assets/ensembles/rock-band.toml")),
    ("chip-trio.toml", include_str!("../../../assets/ensembles/chip-trio.toml")),
    ("piano-strings.toml", include_str!("../../../assets/ensembles/piano-strings.toml")),
];
const NUMBER: usize = 12;

/// Every ensemble and what is wrong with the user's files.
struct Library {
    /// Those compiled in, then the user's by file name.
    ensembles: Vec<Ensemble>,
    built_in: usize,
    faults: Vec<EnsembleError>,
}

fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let parsed = TEXTS.iter().map(|(file, text)| Ensemble::parse(file, text));
        // A test parses every one of them; one that does not is a build that was never tested.
        let mut ensembles: Vec<Ensemble> =
            parsed.filter_map(|parsed| parsed.map_err(|error| log::error!("{error}")).ok()).collect();
        let built_in = ensembles.len();
        let mut faults = Vec::new();
        if let Some(folder) = user_folder() {
            read_folder(&folder, &mut ensembles, &mut faults);
        }
        Library { ensembles, built_in, faults }
    })
}

/// Where the user's ensembles lie: `ensembles` in the folder of Ripieno's settings.
pub fn user_folder() -> Option<PathBuf> {
    locations::user_settings_folder().map(|folder| folder.join("ensembles"))
}

/// Adds every `.toml` file of a folder, by name; what is wrong goes to `faults`, a folder that is not there is empty.
fn read_folder(folder: &Path, ensembles: &mut Vec<Ensemble>, faults: &mut Vec<EnsembleError>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("toml")));
    files.sort();
    for file in files {
        match Ensemble::read(&file) {
            Ok(ensemble) if ensembles.iter().any(|other| other.id == ensemble.id) => {
                let reason = format!("there is another ensemble with the id \"{}\"", ensemble.id);
                faults.push(EnsembleError { file: file.display().to_string(), line: 1, reason });
            }
            Ok(ensemble) => ensembles.push(ensemble),
            Err(error) => faults.push(error),
        }
    }
}

impl Ensemble {
    /// Every ensemble, in the order of the menu: those compiled in, then the user's. Read on the first call.
    pub fn all() -> &'static [Ensemble] {
        &library().ensembles
    }

    /// The ensembles compiled in.
    pub fn built_in() -> &'static [Ensemble] {
        &library().ensembles[..library().built_in]
    }

    /// What is wrong with the user's files, which are left out.
    pub fn faults() -> &'static [EnsembleError] {
        &library().faults
    }

    /// The ensemble with an id.
    pub fn find(id: &str) -> Option<&'static Ensemble> {
        Self::all().iter().find(|ensemble| ensemble.id == id)
    }

    /// Reads one ensemble from a file.
    pub fn read(file: &Path) -> Result<Self, EnsembleError> {
        let name = file.display().to_string();
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(&name, &text),
            Err(error) => Err(EnsembleError { file: name, line: 1, reason: error.to_string() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ensemble_parses_and_is_found_by_its_file_name() {
        for (file, text) in TEXTS {
            let ensemble = Ensemble::parse(file, text).unwrap();
            assert_eq!(format!("{}.toml", ensemble.id), file);
            assert_eq!(Ensemble::find(&ensemble.id), Some(&ensemble));
        }
        assert_eq!(Ensemble::built_in().len(), TEXTS.len());
    }

    #[test]
    fn every_key_of_a_piano_is_in_some_parts_range_or_has_a_nearest_part() {
        for ensemble in Ensemble::built_in() {
            let low = ensemble.parts.iter().map(|part| part.lo).min().unwrap();
            let high = ensemble.parts.iter().map(|part| part.hi).max().unwrap();
            for key in low..=high {
                assert!(ensemble.parts.iter().any(|part| part.distance(key) == 0), "{} {key}", ensemble.id);
            }
        }
    }

    #[test]
    fn a_users_file_joins_and_a_bad_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let solo = include_str!("../../../assets/ensembles/solo.toml");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("a.toml", &solo.replace("\"solo\"", "\"mine\""));
        write("b.toml", &solo.replace("\"solo\"", "\"mine\""));
        write("c.toml", "id = 3");
        write("notes.txt", "id = 3");
        let (mut ensembles, mut faults) = (Vec::new(), Vec::new());
        read_folder(folder.path(), &mut ensembles, &mut faults);
        assert_eq!(ensembles.iter().map(|ensemble| ensemble.id.as_str()).collect::<Vec<_>>(), ["mine"]);
        assert!(faults[0].reason.contains("another") && faults[1].to_string().contains("c.toml, line 1"));
        assert_eq!(faults.len(), 2);
    }

    /// sRGB to linear light (IEC 61966-2-1).
    fn linear(colour: [u8; 3]) -> [f64; 3] {
        colour.map(|byte| {
            let c = f64::from(byte) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        })
    }

    fn times(matrix: [[f64; 3]; 3], v: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
    }

    /// CIELAB under D65.
    fn lab(rgb: [f64; 3]) -> [f64; 3] {
        const XYZ: [[f64; 3]; 3] = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]];
        let [x, y, z] = times(XYZ, rgb);
        let f = |t: f64| if t > (6.0f64 / 29.0).powi(3) { t.cbrt() } else { t * 841.0 / 108.0 + 4.0 / 29.0 };
        let (x, y, z) = (f(x / 0.95047), f(y), f(z / 1.08883));
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    #[test]
    fn part_colours_can_be_told_apart_by_every_eye() {
        // Full dichromacy, in linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.
        const EYES: [[[f64; 3]; 3]; 4] = [
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
            [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
            [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
        ];
        for ensemble in Ensemble::built_in() {
            for eye in EYES {
                let seen: Vec<[f64; 3]> = ensemble
                    .parts
                    .iter()
                    .map(|part| lab(times(eye, linear(part.colour)).map(|c| c.clamp(0.0, 1.0))))
                    .collect();
                for (i, a) in seen.iter().enumerate() {
                    for b in &seen[..i] {
                        let distance = (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt();
                        assert!(distance > 25.0, "{}: {distance}", ensemble.id);
                    }
                }
            }
        }
    }

    #[test]
    fn part_colours_are_legible_on_a_dark_background() {
        // WCAG 2.2, 1.4.3: 4.5 to 1, here against #14161a.
        let luminance = |colour| {
            let [r, g, b] = linear(colour);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        for part in Ensemble::built_in().iter().flat_map(|ensemble| &ensemble.parts) {
            let contrast = (luminance(part.colour) + 0.05) / (luminance([0x14, 0x16, 0x1a]) + 0.05);
            assert!(contrast > 4.5, "{}: {contrast}", part.name);
        }
    }
}
