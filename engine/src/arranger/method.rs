//! How notes are given out.

/// How notes are given out, as the musician chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A trained network.
    Learned,
    /// Zones of the keyboard, one per part.
    Split,
    /// Each note to the part whose last note was nearest.
    Closest,
    /// The same, a chord given out together, every part one note at a time.
    ClosestMono,
    /// Each note to the part the middle of whose range is nearest.
    ByRange,
}

impl Method {
    /// Every method, in the order of the menu.
    pub const ALL: [Self; 5] = [Self::Learned, Self::Split, Self::Closest, Self::ClosestMono, Self::ByRange];

    /// How files and saved projects call it.
    pub fn id(self) -> &'static str {
        match self {
            Self::Learned => "learned",
            Self::Split => "split",
            Self::Closest => "closest",
            Self::ClosestMono => "closest-mono",
            Self::ByRange => "by-range",
        }
    }

    /// How musicians call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Learned => "Trained network",
            Self::Split => "Split keyboard",
            Self::Closest => "Closest pitch",
            Self::ClosestMono => "Closest pitch, one note each",
            Self::ByRange => "By range",
        }
    }

    /// The method with an id.
    pub fn find(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.id() == id)
    }
}
