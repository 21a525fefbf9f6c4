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
/// Attributes of one tag: the words of a direction may have forty.
const MOST_IN_TAG: usize = 200;
/// Declarations of a namespace: scores have two.
const MOST_NAMESPACES: usize = 200;
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

/// Why a text has no tree.
pub enum NoTree {
    /// It would cost more than a score can.
    TooLarge(&'static str),
    /// It is no XML.
    Malformed(String),
}

/// A tree of XML text, within the limits on nodes and attributes. Document types are allowed, for every score names one,
/// and entities of their own are not: a score has none, and a few lines of them stand for gigabytes.
pub fn parsed(text: &str) -> Result<Document<'_>, NoTree> {
    bounded(text)?;
    let options = ParsingOptions { allow_dtd: true, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| match error {
        roxmltree::Error::NodesLimitReached => NoTree::TooLarge(ELEMENTS),
        error => NoTree::Malformed(error.to_string()),
    })
}

const ELEMENTS: &str = "it has millions of elements";

/// Refuses what a tree costs more for than its text is long. `roxmltree` makes room for a node at each `<` and for an
/// attribute at each `=` before it reads, compares each attribute of a tag with all before it, and looks through all
/// namespaces in scope at every element. Counted in one pass, and never too few: no value of an attribute has a `<`.
fn bounded(text: &str) -> Result<(), NoTree> {
    let too_large = |reason| Err(NoTree::TooLarge(reason));
    if text.contains("<!ENTITY") {
        return Err(NoTree::Malformed("it defines entities".into()));
    }
    if text.matches("xmlns").nth(MOST_NAMESPACES).is_some() {
        return too_large("it has hundreds of namespaces");
    }
    let (mut nodes, mut attributes) = (0, 0);
    for tag in text.split('<').skip(1) {
        let values = tag.split('=').skip(1).filter(|after| after.trim_start().starts_with(['"', '\'']));
        if values.count() > MOST_IN_TAG {
            return too_large("an element has hundreds of attributes");
        }
        nodes += 1;
        attributes += tag.matches('=').count();
    }
    // Opened and closed.
    if nodes > 2 * MOST_NODES as usize {
        return too_large(ELEMENTS);
    }
    if attributes > MOST_NODES as usize {
        return too_large("it has millions of attributes");
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        match parsed(text) {
            Err(NoTree::TooLarge(reason)) => reason.to_owned(),
            Err(NoTree::Malformed(reason)) => panic!("{reason}"),
            Ok(_) => panic!("it is a tree"),
        }
    }

    /// A tag with so many attributes.
    fn tag(count: usize, name: &str) -> String {
        (0..count).map(|i| format!(" {name}{i} = '>'")).collect()
    }

    #[test]
    fn a_tag_has_hundreds_of_attributes_and_no_more() {
        assert!(parsed(&format!("<a{}/>", tag(MOST_IN_TAG, "b"))).is_ok());
        assert!(refused(&format!("<a{}/>", tag(MOST_IN_TAG + 1, "b"))).contains("hundreds of attributes"));
        // Rules of a comment are no attributes.
        assert!(parsed(&format!("<a><!-- {} --></a>", "=".repeat(1000))).is_ok());
    }

    #[test]
    fn a_score_has_hundreds_of_namespaces_and_no_more() {
        let nested = |count: usize| -> String {
            let open: String = (0..count).map(|i| format!("<a xmlns:b{i}='c'>")).collect();
            open + &"</a>".repeat(count)
        };
        assert!(parsed(&nested(MOST_NAMESPACES)).is_ok());
        assert!(refused(&nested(MOST_NAMESPACES + 1)).contains("namespaces"));
    }

    #[test]
    fn no_room_is_made_for_what_is_only_signs() {
        assert!(refused(&"<".repeat(9 << 20)).contains("elements"));
        assert!(refused(&format!("<a>{}", "=".repeat(5 << 20))).contains("attributes"));
    }

    #[test]
    fn an_entity_that_stands_for_gigabytes_is_refused() {
        let long = format!("<!DOCTYPE a [<!ENTITY b '{}'>]><a>{}</a>", "c".repeat(60_000), "&b;".repeat(1_000_000));
        assert!(matches!(parsed(&long), Err(NoTree::Malformed(reason)) if reason.contains("entities")));
    }
}
