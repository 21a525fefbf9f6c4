//! Files made to fill the memory or to hang are refused in a sentence, or read, in bounded time and memory: by `ripieno`
//! itself, whose address space the system limits here. And every seed of the fuzzers is read, played, measured, written.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::path::Path;

use ripieno_engine::score::{Score, ScoreError, abc, midi, musicxml, muspy};

type Reader = fn(&[u8], &Path) -> Result<Score, ScoreError>;

#[test]
fn every_seed_of_the_fuzzers_is_read_or_refused_and_what_was_read_is_used_up() {
    let kinds: [(&str, Reader); 4] = [
        ("midi", midi::read_bytes),
        ("musicxml", musicxml::read_bytes),
        ("abc", abc::read_bytes),
        ("muspy", muspy::read_bytes),
    ];
    for (kind, read) in kinds {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(kind);
        let (mut scores, mut refused) = (0, 0);
        for seed in std::fs::read_dir(folder).unwrap() {
            let path = seed.unwrap().path();
            match read(&std::fs::read(&path).unwrap(), &path) {
                Ok(score) => {
                    fuzz::use_up(&score);
                    scores += 1;
                }
                Err(_) => refused += 1,
            }
        }
        assert!(scores > 5 && refused > 0, "{kind}: {scores} scores, {refused} refused");
    }
}

#[cfg(target_os = "linux")]
mod limited {
    use std::fmt::Write as _;
    use std::io::Read;
    use std::process::{Command, ExitStatus, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    /// Address space of the program, KiB: its own, and what the largest file takes.
    const MOST_KIB: u32 = 1 << 20;
    /// How long a file may take a program that is not optimised, on a machine that does other things.
    const LONGEST: Duration = Duration::from_secs(60);

    /// How the program ends with a file, and what it says on both outputs.
    fn measured(name: &str, bytes: &[u8]) -> (ExitStatus, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let mut child = Command::new("sh")
            .args(["-c", &format!("ulimit -v {MOST_KIB}; exec \"$0\" metrics \"$1\" 2>&1")])
            .arg(env!("CARGO_BIN_EXE_ripieno"))
            .arg(&path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let started = Instant::now();
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if started.elapsed() > LONGEST => {
                    child.kill().unwrap();
                    panic!("{name} is not read within {LONGEST:?}");
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let mut said = String::new();
        child.stdout.unwrap().read_to_string(&mut said).unwrap();
        (status, said)
    }

    fn is_refused(name: &str, bytes: &[u8], sentence: &str) {
        let (status, said) = measured(name, bytes);
        assert!(status.code() == Some(1) && said.starts_with("ripieno: ") && said.contains(sentence), "{name}: {said}");
    }

    fn is_read(name: &str, bytes: &[u8], notes: usize) {
        let (status, said) = measured(name, bytes);
        let told = said.lines().find_map(|line| line.strip_prefix("notes ")).unwrap_or_default().trim();
        assert!(status.success() && told == notes.to_string(), "{name}: {said}");
    }

    const NOTE: &str = "<note><pitch><step>C</step><octave>4</octave></pitch><duration>1</duration></note>";

    /// A score of one measure, with what its list of parts says.
    fn sheet(listed: &str, measure: &str) -> String {
        format!(
            "<score-partwise><part-list><score-part id='P'>{listed}</score-part></part-list><part id='P'><measure>\
             {measure}</measure></part></score-partwise>"
        )
    }

    fn repeated(measure: &str) -> String {
        format!("{measure}<barline location='right'><repeat direction='backward' times='99999'/></barline>")
    }

    #[test]
    fn repeats_that_multiply_pedals_and_tempi_are_refused() {
        let pedals = "<sound damper-pedal='50'/>".repeat(1000);
        let tempi = "<sound tempo='60'/><sound tempo='61'/>".repeat(500);
        for (name, signs) in [("pedals.musicxml", &pedals), ("tempi.musicxml", &tempi)] {
            let text = sheet("", &repeated(&format!("{signs}{NOTE}")));
            is_refused(name, text.as_bytes(), "tempi and controllers");
        }
        let fields = "[Q:1/4=60][Q:1/4=61]".repeat(500);
        let tune = format!("X:1\nL:1/8\nK:C\n|:{fields}C{}|\n", ":".repeat(99_998));
        is_refused("tempi.abc", tune.as_bytes(), "tempi and controllers");
    }

    #[test]
    fn pedals_of_a_part_with_many_instruments_are_refused() {
        let (mut list, mut notes) = (String::new(), String::new());
        for program in 1..=128 {
            let _ = write!(
                list,
                "<midi-instrument id='I{program}'><midi-program>{program}</midi-program></midi-instrument>"
            );
            let instrument = format!("</duration><instrument id='I{program}'/>");
            notes.push_str(&NOTE.replace("</duration>", &instrument));
        }
        let text = sheet(&list, &("<sound soft-pedal='no'/>".repeat(600_000) + &notes));
        is_refused("instruments.musicxml", text.as_bytes(), "pedals");
    }

    #[test]
    fn measures_that_a_few_letters_stand_for_are_refused() {
        let rests = "Z999".repeat(101);
        let voices: String = (0..250).map(|i| format!("[V:{i}]{rests}\n")).collect();
        is_refused("rests.abc", format!("X:1\nK:C\nC|\n{voices}").as_bytes(), "more than 500000 measures");
        let ending = "<measure><barline><ending type='start' number='1-100'/></barline></measure>";
        let part = format!("<part>{ending}{}</part>", "<measure/>".repeat(3_900_000));
        let text = format!("<score-partwise>{part}</score-partwise>");
        is_refused("endings.musicxml", text.as_bytes(), "more than 100000 measures");
        let part = format!("<part>{}</part>", "<measure/>".repeat(90_000)).repeat(40);
        let text = format!("<score-partwise>{part}</score-partwise>");
        is_refused("parts.musicxml", text.as_bytes(), "millions of measures");
    }

    #[test]
    fn xml_that_costs_more_than_it_is_long_is_refused() {
        let attributes: String = (0..300_000).map(|i| format!(" a{i}=''")).collect();
        is_refused("attributes.musicxml", sheet("", &format!("<b{attributes}/>")).as_bytes(), "attributes");
        let opened: String = (0..3000).map(|i| format!("<a xmlns:b{i}=''>")).collect();
        let nested = opened + &"<a xmlns:c=''/>".repeat(200_000) + &"</a>".repeat(3000);
        is_refused("namespaces.musicxml", sheet("", &nested).as_bytes(), "namespaces");
        let entity = format!("<!DOCTYPE score-partwise [<!ENTITY b '{}'>]>", "c".repeat(60_000));
        let text = entity + &sheet("", &format!("<words>{}</words>", "&b;".repeat(100_000)));
        is_refused("entities.musicxml", text.as_bytes(), "entities");
        is_refused("open.musicxml", "<".repeat(40 << 20).as_bytes(), "elements");
        is_refused("equal.musicxml", format!("<a>{}", "=".repeat(40 << 20)).as_bytes(), "attributes");
    }

    #[test]
    fn a_direction_with_very_many_signs_is_read() {
        let signs = "<direction-type><pedal type='start'/></direction-type>".repeat(200_000);
        let text = sheet("", &format!("<direction>{signs}</direction>{NOTE}"));
        is_read("signs.musicxml", text.as_bytes(), 1);
    }

    #[test]
    fn json_of_very_many_things_is_refused_and_what_has_no_place_takes_none() {
        let piece = |tracks: &str| format!(r#"{{"resolution": 24, "tracks": [{tracks}]}}"#);
        is_refused("tracks.json", piece(&vec!["{}"; 20_000_000].join(",")).as_bytes(), "more than 65535 tracks");
        let pitches = vec!["60"; 20_000_000].join(",");
        let chord = format!(r#"{{"chords": [{{"time": 0, "duration": 1, "pitches": [{pitches}]}}]}}"#);
        is_refused("chord.json", piece(&chord).as_bytes(), "more than 1000000 notes");
        let nested = vec!["[[]]"; 8_000_000].join(",");
        let annotated = format!(
            r#"{{"notes": [{{"time": 0, "pitch": 60, "duration": 1}}], "annotations": [{{"time": 0, "annotation": [{nested}]}}]}}"#
        );
        is_read("nested.json", piece(&annotated).as_bytes(), 1);
    }

    #[test]
    fn a_million_notes_of_json_are_read_and_one_more_is_refused() {
        let notes = |count: usize| {
            let mut text = String::from(r#"{"resolution": 24, "tracks": [{"notes": ["#);
            for i in 0..count {
                let comma = if i > 0 { "," } else { "" };
                let (time, pitch) = (i / 10, 40 + i % 40);
                let _ = write!(text, r#"{comma}{{"time": {time}, "pitch": {pitch}, "duration": 1, "velocity": 64}}"#);
            }
            text + "]}]}"
        };
        is_read("million.json", notes(1_000_000).as_bytes(), 1_000_000);
        is_refused("more.json", notes(1_000_001).as_bytes(), "more than 1000000 notes");
    }

    #[test]
    fn what_is_no_file_is_refused_whatever_its_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.mid", "a.musicxml", "a.abc", "a.json"] {
            let path = folder.path().join(name);
            std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
            let said = Score::read(&path).unwrap_err().to_string();
            assert!(said.contains("a device or a pipe"), "{said}");
        }
    }
}
