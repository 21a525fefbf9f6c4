//! What `ripieno evaluate synth` prints: a table, or everything as JSON.

use ripieno_engine::synth::evaluation::{Measure, Seams, Take};
use ripieno_engine::synth::{Guidance, Start};
use serde_json::{Value, json};

use crate::evaluate_synth::{Row, Way};
use crate::output::say;

/// A way of playing, for people.
pub fn name(way: &Way) -> String {
    let untold = |told: bool| if told { "" } else { ", performance untold" };
    match way {
        Way::Truth => "true sound".to_owned(),
        Way::GeneralMidi => "fluidsynth".to_owned(),
        Way::TrueMel => "true mel".to_owned(),
        Way::Prior { told } => format!("prior alone{}", untold(*told)),
        Way::Denoised { denoiser, sampling, steps, told } => {
            let eta = if sampling.eta > 0.0 { format!(" eta {}", sampling.eta) } else { String::new() };
            let from = start(sampling.start).map_or(String::new(), |time| format!(" from the prior at {time}"));
            format!("{denoiser}, {}{eta} {steps}{from}{}", sampling.sampler.name(), untold(*told))
        }
    }
}

fn start(start: Start) -> Option<u16> {
    match start {
        Start::Noise => None,
        Start::Prior(time) => Some(time),
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Four places are more than any of them is known to.
fn short(value: f64) -> Value {
    json!((value * 1e4).round() / 1e4)
}

fn or_null(value: Option<f64>) -> Value {
    value.map_or(Value::Null, short)
}

fn take(of: Take) -> Value {
    json!({ "mean": short(of.mean), "standard_error": short(of.error) })
}

fn change(of: &Measure) -> Value {
    json!({
        "at_joins": take(of.at_joins(false)),
        "elsewhere": take(of.elsewhere(false)),
        "at_joins_two_frames_later": take(of.at_joins(true)),
        "elsewhere_two_frames_later": take(of.elsewhere(true)),
        "added_by_a_join": take(of.added()),
    })
}

/// Everything.
pub fn json(pieces: &[&str], seconds: f64, guidance: Guidance, rows: &[(Way, Row)]) -> Value {
    let row = |(way, row): &(Way, Row)| {
        let mut out = json!({ "name": name(way) });
        match way {
            Way::Truth | Way::GeneralMidi | Way::TrueMel => {}
            Way::Prior { told } => out["performance_told"] = json!(told),
            Way::Denoised { denoiser, sampling, steps, told } => {
                out["performance_told"] = json!(told);
                out["denoiser"] = json!(denoiser);
                out["sampler"] = json!(sampling.sampler.name());
                out["eta"] = json!(sampling.eta);
                out["from_prior_at"] = json!(start(sampling.start));
                out["steps"] = json!(steps);
            }
        }
        out["stft_distance"] = or_null(mean(&row.stft));
        out["stft_distance_of_each"] = row.stft.iter().map(|&value| short(value)).collect();
        out["loudness_distance_lu"] = or_null(mean(&row.loudness));
        out["musicnn_fad"] = or_null(row.apart.all);
        out["musicnn_group_fad"] = or_null(row.apart.group);
        out["top_1"] = or_null(row.apart.top_1);
        out["top_3"] = or_null(row.apart.top_3);
        out["flux"] = row.seams.as_ref().map_or(Value::Null, |of| change(of.flux()));
        out["loudness_change_db"] = row.seams.as_ref().map_or(Value::Null, |of| change(of.loudness()));
        let share = |cost: f64| or_null((row.seconds > 0.0).then(|| cost / row.seconds));
        let own = row.cost.seconds - row.cost.prior - row.cost.denoiser - row.cost.vocoder;
        out["real_time_factor"] = json!({
            "whole": share(row.cost.seconds),
            "processor": row.processor.map_or(Value::Null, share),
            "prior": share(row.cost.prior),
            "denoiser": share(row.cost.denoiser),
            "vocoder": share(row.cost.vocoder),
            "resynthesis": share(own),
        });
        out
    };
    json!({
        "pieces": pieces,
        "seconds_of_each": seconds,
        "guidance_notes": guidance.notes,
        "guidance_performance": guidance.performance,
        "ways": rows.iter().map(row).collect::<Vec<_>>(),
    })
}

/// The table.
pub fn print(pieces: &[&str], seconds: f64, guidance: Guidance, rows: &[(Way, Row)]) {
    say!("{} parts of at most {seconds} s, guidance {} and {}", pieces.len(), guidance.notes, guidance.performance);
    say!(
        "{:<44}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>17}{:>17}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}",
        "",
        "STFT",
        "LU",
        "FAD",
        "group",
        "top-1",
        "top-3",
        "join's flux",
        "join's dB",
        "RTF",
        "CPU",
        "prior",
        "denois.",
        "vocoder",
        "rest"
    );
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
    let added = |of: Option<&Measure>| {
        of.map(Measure::added).map_or("-".to_owned(), |added| format!("{:+.4} ±{:.4}", added.mean, added.error))
    };
    for (way, row) in rows {
        let share = |cost: f64| number((row.seconds > 0.0).then(|| cost / row.seconds));
        let cost = row.cost;
        say!(
            "{:<44}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>17}{:>17}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}",
            name(way),
            number(mean(&row.stft)),
            number(mean(&row.loudness)),
            number(row.apart.all),
            number(row.apart.group),
            number(row.apart.top_1),
            number(row.apart.top_3),
            added(row.seams.as_ref().map(Seams::flux)),
            added(row.seams.as_ref().map(Seams::loudness)),
            share(cost.seconds),
            row.processor.map_or("-".to_owned(), share),
            share(cost.prior),
            share(cost.denoiser),
            share(cost.vocoder),
            share(cost.seconds - cost.prior - cost.denoiser - cost.vocoder)
        );
    }
    say!("");
    say!(
        "STFT: multi-resolution distance to the true sound; LU: distance of loudness curves; FAD: musicnn's, of all and the"
    );
    say!(
        "mean of the performances', comparable only within one table; top-1, top-3: of the performances, how many are the"
    );
    say!(
        "nearest to their own sounds, or among the three nearest. A join's flux and dB: how much more the spectrum and"
    );
    say!(
        "the loudness change where segments join than in the same music without a join, ± standard error; 0 is no seam."
    );
    say!("RTF: seconds per second of one part; CPU: processor seconds, of all threads; then the stages' seconds.");
}
