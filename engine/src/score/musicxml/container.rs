//! From bytes to XML text and back: the zip archive of an .mxl file, and encodings.

use std::io::{Cursor, Read, Write};
use std::path::Path;

use roxmltree::{Document, ParsingOptions};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::score::limits::MOST_BYTES;
use crate::score::{Format, ScoreError};

/// Bytes of XML: four times a file, for the blanks that an archive packs away.
pub const MOST_TEXT: u64 = 4 * MOST_BYTES; // 64 MiB
/// Bytes of the list of contents of an archive.
const MOST_CONTENTS: u64 = 64 << 10;
/// Nodes of a document, each under 100 bytes of memory.
const MOST_NODES: u32 = 4 << 20;
const CONTENTS: &str = "META-INF/container.xml";

/// The XML text of a file, compressed or not.
pub fn text(bytes: &[u8], path: &Path) -> Result<String, ScoreError> {
    if bytes.is_empty() {
        return Err(ScoreError::Empty { path: path.into() });
    }
    let malformed = |reason: String| ScoreError::malformed(path, Format::MusicXml, reason);
    if !bytes.starts_with(b"PK") {
        return decoded(bytes).map_err(malformed);
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| malformed(error.to_string()))?;
    let name = main_file(&mut archive).ok_or_else(|| malformed("the archive holds no score".into()))?;
    let mut unpacked = Vec::new();
    let file = archive.by_name(&name).map_err(|error| malformed(error.to_string()))?;
    file.take(MOST_TEXT + 1).read_to_end(&mut unpacked).map_err(|error| malformed(error.to_string()))?;
    if unpacked.len() as u64 > MOST_TEXT {
        let reason = format!("unpacked it has more than {} MB", MOST_TEXT >> 20);
        return Err(ScoreError::too_large(path, reason));
    }
    decoded(&unpacked).map_err(malformed)
}

/// The name of the score in an archive: what the list of contents says, or else the first that looks like one.
fn main_file(archive: &mut ZipArchive<Cursor<&[u8]>>) -> Option<String> {
    if let Ok(contents) = archive.by_name(CONTENTS) {
        let mut text = String::new();
        if contents.take(MOST_CONTENTS).read_to_string(&mut text).is_ok()
            && let Ok(document) = parsed(&text)
            && let Some(root) = document.descendants().find(|node| node.has_tag_name("rootfile"))
            && let Some(name) = root.attribute("full-path")
        {
            return Some(name.to_owned());
        }
    }
    let looks =
        |name: &String| !name.starts_with("META-INF") && (name.ends_with(".xml") || name.ends_with(".musicxml"));
    archive.file_names().filter_map(|name| Some(name.ok()?.into_owned())).find(looks)
}

/// UTF-8, UTF-16 with its mark, or else Latin-1, whose bytes are their own code points.
fn decoded(bytes: &[u8]) -> Result<String, String> {
    let utf16 = |pair: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes[2..].chunks_exact(2).map(|unit| pair([unit[0], unit[1]])).collect();
        String::from_utf16(&units).map_err(|error| error.to_string())
    };
    match bytes {
        [0xff, 0xfe, ..] => utf16(u16::from_le_bytes),
        [0xfe, 0xff, ..] => utf16(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.into()).map_err(|error| error.to_string()),
        _ => Ok(String::from_utf8(bytes.into()).unwrap_or_else(|_| bytes.iter().map(|&b| char::from(b)).collect())),
    }
}

/// A tree of XML text, within the limit on nodes. Document types are allowed, for every score names one.
pub fn parsed(text: &str) -> Result<Document<'_>, roxmltree::Error> {
    let options = ParsingOptions { allow_dtd: true, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options)
}

/// The bytes of an .mxl file of a score.
pub fn packed(text: &str) -> std::io::Result<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let contents = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<container><rootfiles><rootfile \
        full-path=\"score.musicxml\" media-type=\"application/vnd.recordare.musicxml+xml\"/></rootfiles></container>\n";
    for (name, text) in [(CONTENTS, contents), ("score.musicxml", text)] {
        archive.start_file(name, options)?;
        archive.write_all(text.as_bytes())?;
    }
    Ok(archive.finish()?.into_inner())
}
