//! No bytes make the MusicXML, plain or packed, reader panic or hang, and what it reads can be written in every form.

#![no_main]

use std::path::Path;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(score) = ripieno_engine::score::musicxml::read_bytes(bytes, Path::new("a.mxl")) {
        ripieno_engine_fuzz::use_up(&score);
    }
});
