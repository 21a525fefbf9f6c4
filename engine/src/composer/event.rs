//! Events: six codes each.

/// The six fields of an event, in the order in which the network is shown them.
pub const FIELDS: [Field; 6] =
    [Field::Kind, Field::Beat, Field::Position, Field::Pitch, Field::Duration, Field::Instrument];

/// A field of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// What the event is: a [`Kind`].
    Kind,
    /// Quarters from the song's start, + 1.
    Beat,
    /// Ticks within the beat, + 1.
    Position,
    /// MIDI pitch + 1.
    Pitch,
    /// Place of the duration in [`super::Vocabulary::durations`], + 1.
    Duration,
    /// Place of the instrument in [`super::Vocabulary::instruments`], + 1.
    Instrument,
}

impl Field {
    /// How the network and reports call it, e.g. `type`.
    pub fn name(self) -> &'static str {
        ["type", "beat", "position", "pitch", "duration", "instrument"][self as usize]
    }

    /// The field with a name.
    pub fn named(name: &str) -> Option<Self> {
        FIELDS.into_iter().find(|field| field.name() == name)
    }
}

/// What an event is; the codes of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The start of the song.
    Song = 0,
    /// One of its instruments.
    Instrument = 1,
    /// Its notes follow.
    Notes = 2,
    /// A note.
    Note = 3,
    /// Its end.
    End = 4,
}

impl Kind {
    /// The code of the type.
    pub fn code(self) -> u16 {
        self as u16
    }
}

/// Codes of the fields in the order of [`FIELDS`]; 0 is undefined, but for the type. Events sort as the notes of a song do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event(pub [u16; 6]);

impl Event {
    /// The start of a song, of its notes, or its end.
    pub fn sign(kind: Kind) -> Self {
        Self([kind.code(), 0, 0, 0, 0, 0])
    }

    /// An instrument of the song, by its code.
    pub fn instrument(code: u16) -> Self {
        Self([Kind::Instrument.code(), 0, 0, 0, 0, code])
    }

    /// Code of a field.
    pub fn get(&self, field: Field) -> u16 {
        self.0[field as usize]
    }

    /// The same event with another code in a field.
    pub fn with(mut self, field: Field, code: u16) -> Self {
        self.0[field as usize] = code;
        self
    }

    /// Whether it is of a kind.
    pub fn is(&self, kind: Kind) -> bool {
        self.0[0] == kind.code()
    }
}
