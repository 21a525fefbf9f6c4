//! Rates and sizes the code is compiled for; [`check`] refuses models of a manifest that says otherwise.

use crate::inference::Rates;

use super::SynthError;

/// Samples per second of everything the models make.
pub const SAMPLE_RATE: u32 = 48_000;
/// Samples between frames.
pub const HOP: usize = 480;
/// Frames per second.
pub const FRAMES_PER_SECOND: f64 = SAMPLE_RATE as f64 / HOP as f64; // 100
/// Samples in an analysis and synthesis window.
pub const WINDOW: usize = 2048;
/// Bins of a spectrum.
pub const BINS: usize = WINDOW / 2 + 1; // 1025
/// Mel bands of mid; side has as many.
pub const MEL_BANDS: usize = 128;
/// Channels of a mel frame: mid bands, then side bands.
pub const MEL: usize = 2 * MEL_BANDS; // 256
/// Lower edge of the lowest mel band, Hz.
pub const MEL_FMIN: f64 = 30.0;
/// Upper edge of the highest mel band and limit of the excitation, Hz.
pub const MEL_FMAX: f64 = 20_000.0;
/// Smallest magnitude before a logarithm.
pub const LOG_FLOOR: f64 = 1e-5;
/// Keys of a note roll.
pub const KEYS: usize = 88;
/// MIDI pitch of the lowest key.
pub const LOW_KEY: u8 = 21;
/// The most parts that an ensemble, and so a segment, has: each is a stereo output.
pub const MAX_PARTS: usize = 8;
/// New frames of a segment: 0.64 s.
pub const HOP_FRAMES: usize = 64;
/// Frames in which a segment and the next overlap: 0.32 s.
pub const OVERLAP_FRAMES: usize = 32;
/// Finished frames the networks see to the left of a segment: 0.32 s. The denoiser can see 0.78 s;
/// what lies further back reaches it through the roll's age and release.
pub const CONTEXT_FRAMES: usize = 32;
/// Frames of one network call.
pub const SEGMENT_FRAMES: usize = CONTEXT_FRAMES + HOP_FRAMES + OVERLAP_FRAMES; // 128

/// Refuses a manifest whose rates are not the ones above.
pub fn check(rates: &Rates) -> Result<(), SynthError> {
    let ours = Rates {
        sample_rate: SAMPLE_RATE,
        hop: HOP,
        window: WINDOW,
        mel_bands: MEL_BANDS,
        mel_fmin: MEL_FMIN,
        mel_fmax: MEL_FMAX,
        log_floor: LOG_FLOOR,
    };
    if *rates == ours { Ok(()) } else { Err(SynthError::Rates { found: format!("{rates:?}") }) }
}
