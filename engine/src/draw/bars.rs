//! Bars over time, each made of layers: what a long run chose, used or lost from moment to moment.

use std::path::Path;

use super::canvas::{Canvas, DrawError, LEFT};
use super::{DrawnPart, GREY};

/// Width and height of one chart, in pixels.
const SIZE: (u32, u32) = (1400, 320);

/// One chart.
#[derive(Debug, Clone)]
pub struct Bars<'a> {
    /// What is counted, with its unit.
    pub title: &'a str,
    /// Name and colour of each layer, from below.
    pub layers: &'a [(&'a str, [u8; 3])],
    /// Seconds at which a bar begins, in order, and the value of each of its layers; layers without a name are grey.
    pub bars: &'a [(f64, Vec<f64>)],
}

/// Draws charts under each other with one time axis of `seconds`, as a PNG file; without a chart there is none. The highest
/// bar fills a chart's height.
///
/// # Errors
/// The file cannot be written.
pub fn bars(path: &Path, seconds: f64, charts: &[Bars<'_>]) -> Result<(), DrawError> {
    let sheets: Vec<Canvas> = charts.iter().filter_map(|chart| sheet(chart, seconds)).collect();
    if sheets.is_empty() {
        return Ok(());
    }
    Canvas::stacked(&sheets).map_or(Ok(()), |all| all.save(path))
}

fn sheet(chart: &Bars<'_>, seconds: f64) -> Option<Canvas> {
    let mut canvas = Canvas::new(SIZE.0, SIZE.1)?;
    let (left, top, width, height) = canvas.plot();
    let highest = chart.bars.iter().map(|(_, layers)| layers.iter().sum::<f64>()).fold(0.0, f64::max).max(1e-9);
    let ends = chart.bars.iter().skip(1).map(|(begin, _)| *begin).chain([seconds]);
    for ((begin, layers), end) in chart.bars.iter().zip(ends) {
        let x = |at: f64| left + (at / seconds.max(1e-9)).clamp(0.0, 1.0) as f32 * width;
        let mut below = top + height;
        for (index, value) in layers.iter().enumerate() {
            let colour = chart.layers.get(index).map_or(GREY, |(_, colour)| *colour);
            let tall = (value.max(0.0) / highest) as f32 * height;
            below -= tall;
            if tall > 0.0 {
                canvas.fill((x(*begin), below, x(end) - x(*begin), tall), colour, 0.9);
            }
        }
    }
    for share in [0.0, 0.5, 1.0] {
        let value = highest * share;
        let text = if highest < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") };
        canvas.label(&text, LEFT - 10.0, top + (1.0 - share as f32) * height, 1.0);
    }
    canvas.time_axis(seconds);
    let legend: Vec<DrawnPart<'_>> =
        chart.layers.iter().map(|&(name, colour)| DrawnPart { name, colour, notes: &[] }).collect();
    canvas.legend(chart.title, &legend);
    Some(canvas)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_high_as_its_share_of_the_highest_and_layers_lie_on_each_other() {
        let (red, blue) = ([200, 30, 30], [30, 30, 200]);
        let chart = Bars {
            title: "steps",
            layers: &[("none", red), ("one", blue)],
            bars: &[(0.0, vec![1.0, 1.0]), (5.0, vec![1.0, 0.0])],
        };
        let canvas = sheet(&chart, 10.0).unwrap();
        let (left, top, width, height) = canvas.plot();
        let at = |x: f32, y: f32| {
            let [r, _, b] = canvas.pixel((left + x * width) as u32, (top + y * height) as u32);
            (r > 150, b > 150)
        };
        assert_eq!([at(0.2, 0.7), at(0.2, 0.2)], [(true, false), (false, true)]);
        assert_eq!([at(0.7, 0.7), at(0.7, 0.2)], [(true, false), (false, false)]);
    }

    #[test]
    fn nothing_to_show_is_an_empty_chart_and_no_chart_no_file() {
        assert!(sheet(&Bars { title: "", layers: &[], bars: &[] }, 0.0).is_some());
        assert!(bars(Path::new("/nowhere/at/all.png"), 1.0, &[]).is_ok());
    }
}
