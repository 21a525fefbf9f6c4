//! Repeats, endings and jumps as MusicXML writes them.

use roxmltree::Node;

use crate::score::order::{Marks, passes};

/// The marks of a part's measures.
pub fn marks(measures: &[Node<'_, '_>]) -> Vec<Marks> {
    // Passes of the ending that is open, and whether the measure before says that a section begins after it.
    let mut open: Vec<u32> = Vec::new();
    let mut forward = false;
    let mut all = Vec::new();
    for measure in measures {
        let mut marks = Marks { ending: open.clone(), forward, ..Marks::default() };
        forward = false;
        for node in measure.children().filter(Node::is_element) {
            match node.tag_name().name() {
                "barline" => forward |= barline(node, &mut marks, &mut open),
                "sound" => sound(node, &mut marks),
                "direction" => direction(node, &mut marks),
                _ => {}
            }
        }
        all.push(marks);
    }
    lengthen_endings(&mut all);
    all
}

/// An ending lasts until its repeat, though some programs close its bracket in the measure where it begins.
fn lengthen_endings(marks: &mut [Marks]) {
    let mut last: Option<usize> = None;
    for i in 0..marks.len() {
        if let Some(ended) = last
            && i > ended + 1
            && !marks[i].ending.is_empty()
            && marks[i - 1].backward.is_some()
        {
            let ending = marks[ended].ending.clone();
            marks[ended + 1..i].iter_mut().for_each(|between| between.ending.clone_from(&ending));
        }
        if !marks[i].ending.is_empty() && marks[i].backward.is_none() {
            last = Some(i);
        } else if !marks[i].ending.is_empty() || marks[i].forward {
            last = None;
        }
    }
}

/// Reads the marks of a barline; gives whether a section begins in the measure after.
fn barline(barline: Node<'_, '_>, marks: &mut Marks, open: &mut Vec<u32>) -> bool {
    let mut after = false;
    for node in barline.children() {
        match node.tag_name().name() {
            "repeat" if node.attribute("direction") == Some("forward") => {
                let right = barline.attribute("location").is_none_or(|location| location == "right");
                after |= right;
                marks.forward |= !right;
            }
            "repeat" if node.attribute("direction") == Some("backward") => {
                let times = node.attribute("times").and_then(|times| times.parse().ok()).unwrap_or(2);
                marks.backward = Some(times);
                marks.after_jump = node.attribute("after-jump") == Some("yes");
            }
            "ending" if node.attribute("type") == Some("start") => {
                *open = passes(node.attribute("number").unwrap_or_default());
                marks.ending.clone_from(open);
            }
            "ending" => open.clear(),
            _ => {}
        }
    }
    after
}

fn sound(sound: Node<'_, '_>, marks: &mut Marks) {
    let says = |name: &str| sound.attribute(name).is_some_and(|value| value != "no");
    marks.segno |= says("segno");
    marks.coda |= says("coda");
    marks.to_coda |= says("tocoda");
    marks.da_capo |= says("dacapo");
    marks.dal_segno |= says("dalsegno");
    marks.fine |= says("fine");
    marks.forward |= says("forward-repeat");
}

/// A direction says it to the player, as a sign or in words, or to the program, as sound.
fn direction(direction: Node<'_, '_>, marks: &mut Marks) {
    for node in direction.descendants() {
        match node.tag_name().name() {
            "sound" => sound(node, marks),
            "segno" => marks.segno = true,
            "coda" => marks.coda = true,
            "words" => {
                let words: String = node.text().unwrap_or_default().to_lowercase().split_whitespace().collect();
                let begins = |starts: &[&str]| starts.iter().any(|start| words.starts_with(start));
                marks.da_capo |= begins(&["d.c", "dacapo"]);
                marks.dal_segno |= begins(&["d.s", "dalsegno"]);
                marks.to_coda |= begins(&["tocoda", "alcoda"]);
                marks.fine |= words == "fine" || words == "fine.";
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::order::order;

    #[test]
    fn an_ending_that_is_closed_early_lasts_until_its_repeat() {
        let xml = "<part><measure/><measure><barline location='left'><ending number='1' type='start'/></barline>\
            <barline location='right'><ending number='1' type='stop'/></barline></measure>\
            <measure><barline location='right'><repeat direction='backward'/></barline></measure>\
            <measure><barline location='left'><ending number='2' type='start'/></barline></measure></part>";
        let document = roxmltree::Document::parse(xml).unwrap();
        let measures: Vec<Node<'_, '_>> = document.root_element().children().collect();
        assert_eq!(order(&marks(&measures)).unwrap(), [0, 1, 2, 0, 3]);
    }
}
