//! How a duration is written: a note type with dots, perhaps in a tuplet; or several, tied.

/// A duration as one note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    /// Ticks.
    pub ticks: u64,
    /// Its type, as "eighth", and its dots; nothing where no type is that long.
    pub kind: Option<(&'static str, usize)>,
    /// So many of them in the time of so many.
    pub tuplet: Option<(u64, u64)>,
}

const KINDS: [&str; 10] = ["breve", "whole", "half", "quarter", "eighth", "16th", "32nd", "64th", "128th", "256th"];
const TUPLETS: [(u64, u64); 4] = [(3, 2), (5, 4), (7, 4), (9, 8)];

/// The figures of a duration in ticks, longest first, at `resolution` ticks per quarter note.
pub fn figures(mut ticks: u64, resolution: u32) -> Vec<Figure> {
    let mut figures = Vec::new();
    while ticks > 0 {
        let figure = whole(ticks, resolution).unwrap_or_else(|| {
            let kind = longest_within(ticks, resolution);
            kind.map_or(Figure { ticks, kind: None, tuplet: None }, |(ticks, kind)| Figure {
                ticks,
                kind: Some(kind),
                tuplet: None,
            })
        });
        ticks -= figure.ticks;
        figures.push(figure);
    }
    figures
}

/// One figure for all of a duration.
fn whole(ticks: u64, resolution: u32) -> Option<Figure> {
    let plain = kind(ticks, resolution).map(|kind| Figure { ticks, kind: Some(kind), tuplet: None });
    plain.or_else(|| {
        TUPLETS.iter().find_map(|&(actual, normal)| {
            let stretched = (ticks * actual).is_multiple_of(normal).then(|| ticks * actual / normal)?;
            let kind = kind(stretched, resolution).filter(|(_, dots)| *dots == 0)?;
            Some(Figure { ticks, kind: Some(kind), tuplet: Some((actual, normal)) })
        })
    })
}

/// Type and dots of exactly this many ticks.
fn kind(ticks: u64, resolution: u32) -> Option<(&'static str, usize)> {
    // In 4096ths of a quarter note every type with two dots is whole.
    let breve = 8 * 4096u64;
    let (fine, resolution) = (ticks * 4096, u64::from(resolution));
    let length = fine.is_multiple_of(resolution).then(|| fine / resolution)?;
    KINDS.iter().enumerate().find_map(|(i, name)| {
        let plain = breve >> i;
        let dots = [plain, plain * 3 / 2, plain * 7 / 4].iter().position(|dotted| *dotted == length)?;
        Some((*name, dots))
    })
}

/// The longest type without dots that is not longer, with its ticks.
fn longest_within(ticks: u64, resolution: u32) -> Option<(u64, (&'static str, usize))> {
    KINDS.iter().enumerate().find_map(|(i, name)| {
        let breve = 8 * u64::from(resolution);
        let (whole, part) = (breve >> i, breve % (1 << i));
        (part == 0 && whole > 0 && whole <= ticks).then_some((whole, (*name, 0)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(ticks: u64, resolution: u32) -> Vec<String> {
        let tuplet = |figure: &Figure| figure.tuplet.map_or(String::new(), |(a, n)| format!(" {a}:{n}"));
        let kind =
            |figure: &Figure| figure.kind.map_or("?".into(), |(name, dots)| format!("{name}{}", ".".repeat(dots)));
        figures(ticks, resolution).iter().map(|figure| kind(figure) + &tuplet(figure)).collect()
    }

    #[test]
    fn durations_are_types_with_dots_tuplets_or_tied() {
        assert_eq!(written(24, 24), ["quarter"]);
        assert_eq!(written(36, 24), ["quarter."]);
        assert_eq!(written(42, 24), ["quarter.."]);
        assert_eq!(written(8, 24), ["eighth 3:2"]);
        assert_eq!(written(96, 480), ["16th 5:4"]);
        assert_eq!(written(30, 24), ["quarter", "16th"]);
        assert_eq!(written(1, 480), ["?"]);
    }

    #[test]
    fn figures_last_as_long_as_they_should() {
        for resolution in [1, 7, 24, 480, 1024] {
            for ticks in 1..3000 {
                assert_eq!(figures(ticks, resolution).iter().map(|figure| figure.ticks).sum::<u64>(), ticks);
            }
        }
    }
}
