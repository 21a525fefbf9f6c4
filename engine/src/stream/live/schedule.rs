//! What to render next, and how well: a pure function of the time, of what each part needs, and of what was measured.
//!
//! Promises that a change is planned for before anything better is made of what already sounds, that only as many
//! steps are asked for as fit before the deadline, and that quality is lowered (steps, then length) before a passage is
//! planned to be late. What is late all the same is not waited for: the instant voice carries on.

use super::cost::Costs;
use crate::stream::MAX_PARTS;

/// Frames that the networks see before the first one heard.
pub(crate) const CONTEXT_FRAMES: usize = 16;
/// Frames to be heard, long to short. With context and edge they are 128, 96 and 64 frames of one network call.
const LENGTHS: [usize; 3] = [LONGEST, 77, 45];
/// Frames to be heard where there is time.
pub(crate) const LONGEST: usize = 109;
/// Frames of a network call that are not heard.
const OVERHEAD: usize = 19;
/// Seconds after a key in which its passage is to have arrived. With the fade it is in place within 0.25 s.
const TARGET: f64 = 0.17;
/// A passage is continued at least this many seconds before it ends, on top of what rendering takes.
const AHEAD: f64 = 0.15;
/// Seconds at most that a better rendering of what already sounds may take: a new note would have to wait for it.
const REFINE: f64 = 0.3;

/// What one part needs, in stream seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Need {
    /// A note is held, or rings on audibly.
    pub sounding: bool,
    /// When the first thing was played that no passage knows of.
    pub changed: Option<f64>,
    /// When the last passage ends; `None` without one.
    pub ends: Option<f64>,
    /// Steps of the last passage.
    pub steps: usize,
}

/// Why something is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Something new was played.
    Change,
    /// What sounds is about to end.
    Continue,
    /// There is time to make it better.
    Refine,
}

/// One run of the networks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Plan {
    pub why: Why,
    /// Which parts are rows of the batch.
    pub parts: [bool; MAX_PARTS],
    /// Frames to be heard.
    pub frames: usize,
    pub steps: usize,
    /// When it is due, in stream seconds.
    pub due: f64,
}

/// Chooses at stream time `now`; `asked` steps are the most that the musician wants.
pub(crate) fn plan(now: f64, asked: usize, needs: &[Need; MAX_PARTS], costs: &Costs) -> Option<Plan> {
    let select = |wanted: &dyn Fn(&Need) -> bool| needs.map(|need| wanted(&need));
    let earliest = |seconds: &dyn Fn(&Need) -> Option<f64>| needs.iter().filter_map(seconds).min_by(f64::total_cmp);
    let long = LENGTHS[0];
    let sounding = needs.iter().filter(|need| need.sounding).count();
    let horizon = now + AHEAD + costs.seconds(sounding, long + OVERHEAD, 0);
    let ending = |need: &Need| need.sounding && need.ends.is_some_and(|ends| ends < horizon);
    let change = earliest(&|need| need.changed.filter(|_| need.sounding)).map(|changed| changed + TARGET);
    let end = earliest(&|need| need.ends.filter(|_| ending(need)));
    if change.is_some() || end.is_some() {
        // What ends within the time that the change takes goes along: a run of two rows is cheaper than two runs.
        let due = change.unwrap_or(f64::INFINITY).min(end.unwrap_or(f64::INFINITY));
        let parts = select(&|need| need.sounding && (need.changed.is_some() || ending(need)));
        let why = if change.is_some() { Why::Change } else { Why::Continue };
        return Some(fit(why, parts, asked, due, now, costs));
    }
    let parts = select(&|need| need.sounding && need.steps < asked);
    let rows = count(&parts);
    if rows == 0 {
        return None;
    }
    let next_end = earliest(&|need| need.ends.filter(|_| need.sounding)).unwrap_or(f64::INFINITY);
    let time = (next_end - AHEAD - now).min(REFINE);
    let steps = costs.steps(asked, rows, long + OVERHEAD, time);
    let better = needs.iter().zip(parts).any(|(need, chosen)| chosen && steps > need.steps);
    better.then_some(Plan { why: Why::Refine, parts, frames: long, steps, due: now + time })
}

/// The longest passage whose prior fits before it is due, with the steps that still fit.
fn fit(why: Why, parts: [bool; MAX_PARTS], asked: usize, due: f64, now: f64, costs: &Costs) -> Plan {
    let (rows, time) = (count(&parts), due - now);
    let shortest = LENGTHS[LENGTHS.len() - 1];
    let fitting = LENGTHS.into_iter().find(|frames| costs.fits((rows, frames + OVERHEAD, 0), time));
    let frames = fitting.unwrap_or(shortest);
    Plan { why, parts, frames, steps: costs.steps(asked, rows, frames + OVERHEAD, time), due }
}

fn count(parts: &[bool]) -> usize {
    parts.iter().filter(|part| **part).count()
}

#[cfg(test)]
mod tests {
    use super::super::cost::tests::run;
    use super::*;

    /// A machine on which a row of 128 frames takes these milliseconds without and per step.
    fn machine(base: f64, step: f64) -> Costs {
        let mut costs = Costs::default();
        let (spent, seconds) = run(1, 128, 4, (base / 128e3, step / 128e3));
        costs.learn(&spent, seconds, 1.0);
        costs
    }

    fn needs(parts: &[Need]) -> [Need; MAX_PARTS] {
        std::array::from_fn(|part| parts.get(part).copied().unwrap_or_default())
    }

    fn changed(at: f64) -> Need {
        Need { sounding: true, changed: Some(at), ..Need::default() }
    }

    fn playing(ends: f64, steps: usize) -> Need {
        Need { sounding: true, ends: Some(ends), steps, ..Need::default() }
    }

    #[test]
    fn silence_needs_nothing() {
        assert_eq!(plan(1.0, 4, &needs(&[]), &machine(20.0, 10.0)), None);
        let faded = Need { sounding: false, changed: Some(0.9), ends: Some(1.0), steps: 0 };
        assert_eq!(plan(1.0, 4, &needs(&[faded]), &machine(20.0, 10.0)), None);
    }

    #[test]
    fn a_fast_machine_gives_a_new_note_a_long_passage_with_all_steps() {
        let plan = plan(1.02, 4, &needs(&[changed(1.0)]), &machine(10.0, 5.0)).unwrap();
        assert_eq!((plan.why, plan.frames, plan.steps), (Why::Change, LENGTHS[0], 4));
        assert!((plan.due - 1.0 - TARGET).abs() < 1e-9);
    }

    #[test]
    fn quality_falls_before_the_deadline_does() {
        // The slower the machine, first fewer steps, then shorter passages, and late only when nothing is left to give up.
        let chosen: Vec<Plan> = [5.0, 20.0, 40.0, 60.0, 100.0, 140.0, 200.0, 1_000.0]
            .iter()
            .map(|&base| plan(1.0, 4, &needs(&[changed(1.0)]), &machine(base, base / 2.0)).unwrap())
            .collect();
        let quality: Vec<(usize, usize)> = chosen.iter().map(|plan| (plan.frames, plan.steps)).collect();
        assert!(quality.windows(2).all(|pair| pair[1] <= pair[0]), "{quality:?}");
        assert_eq!(quality[0], (LENGTHS[0], 4));
        assert!(quality.iter().any(|&(frames, steps)| frames == LENGTHS[0] && (1..4).contains(&steps)));
        assert!(quality.iter().any(|&(frames, steps)| (LENGTHS[2]..LENGTHS[0]).contains(&frames) && steps == 0));
        assert_eq!(quality.last(), Some(&(LENGTHS[2], 0)));
    }

    #[test]
    fn what_is_planned_fits_its_deadline_whenever_anything_does() {
        for base in 1..300 {
            for rows in 1..=MAX_PARTS {
                let costs = machine(f64::from(base), f64::from(base) / 3.0);
                let plan = plan(1.0, 8, &needs(&vec![changed(0.99); rows]), &costs).unwrap();
                let took = costs.seconds(rows, plan.frames + OVERHEAD, plan.steps);
                let anything = costs.seconds(rows, LENGTHS[2] + OVERHEAD, 0) <= 0.8 * (plan.due - 1.0);
                assert!(!anything || took <= plan.due - 1.0, "{base} ms, {rows} rows: {plan:?} takes {took}");
            }
        }
    }

    #[test]
    fn a_change_goes_before_a_better_rendering_and_takes_what_ends_along() {
        let costs = machine(10.0, 5.0);
        let plan = plan(2.0, 4, &needs(&[playing(2.1, 4), changed(1.99), playing(2.9, 0)]), &costs).unwrap();
        assert_eq!(plan.why, Why::Change);
        assert_eq!(plan.parts[..3], [true, true, false]);
        assert!((plan.due - 2.1).abs() < 1e-9, "{plan:?}");
    }

    #[test]
    fn a_passage_is_continued_before_it_ends_and_not_much_sooner() {
        let costs = machine(10.0, 5.0);
        assert_eq!(plan(2.0, 4, &needs(&[playing(2.5, 4)]), &costs), None);
        let plan = plan(2.4, 4, &needs(&[playing(2.5, 4)]), &costs).unwrap();
        assert_eq!((plan.why, plan.due), (Why::Continue, 2.5));
    }

    #[test]
    fn spare_time_is_spent_on_steps_and_only_once() {
        let costs = machine(10.0, 5.0);
        let refined = plan(2.0, 4, &needs(&[playing(2.9, 0), playing(2.9, 4)]), &costs).unwrap();
        assert_eq!((refined.why, refined.steps, refined.parts[0], refined.parts[1]), (Why::Refine, 4, true, false));
        assert_eq!(plan(2.0, 4, &needs(&[playing(2.9, 4)]), &costs), None);
        // No time for more steps than it has: nothing is begun in vain.
        assert_eq!(plan(2.0, 4, &needs(&[playing(2.9, 1)]), &machine(100.0, 100.0)), None);
    }

    /// A minute of a fake clock: chords of four parts every 250 ms, on a machine that becomes six times slower for the
    /// middle third. No passage may end before its successor is there, and steps must fall and rise with the load.
    #[test]
    fn under_load_steps_fall_and_nothing_runs_out() {
        let mut costs = machine(12.0, 6.0);
        let (mut now, mut state) = (0.0f64, needs(&[playing(1.0, 4); 4]));
        let (mut next_chord, mut latest, mut missing) = (0.0, 0.0f64, 0);
        let mut steps_in_third = [Vec::new(), Vec::new(), Vec::new()];
        while now < 60.0 {
            while next_chord <= now {
                state[..4].iter_mut().for_each(|need| need.changed = need.changed.or(Some(next_chord)));
                next_chord += 0.25;
            }
            let slow = if (20.0..40.0).contains(&now) { 6.0 } else { 1.0 };
            let Some(plan) = plan(now, 4, &state, &costs) else {
                now += 0.002;
                continue;
            };
            let rows = count(&plan.parts);
            let (base, step) = (slow * 12.0 / 128e3, slow * 6.0 / 128e3);
            // The worker asks before every step whether there is time for it, or whether something was played.
            let size = (rows * (plan.frames + OVERHEAD)) as f64;
            let time = |steps: usize| size * (0.5 * base + step * steps as f64);
            let more = |done: &usize| match plan.why {
                Why::Refine => now + time(*done) < next_chord,
                _ => now + time(*done) + costs.last_step(rows, plan.frames + OVERHEAD) < plan.due,
            };
            let steps = (0..plan.steps).take_while(|done| *done == 0 || more(done)).count();
            let (spent, took) = run(rows, plan.frames + OVERHEAD, steps, (base, step));
            costs.learn(&spent, took, 1.0);
            let begun = now;
            now += took;
            // For a second after its slowness is found out the machine may be behind.
            let known = !(20.0..21.0).contains(&begun);
            if known {
                latest = latest.max(now - plan.due);
            }
            for (need, _) in state.iter_mut().zip(plan.parts).filter(|(_, chosen)| *chosen) {
                missing += usize::from(known && need.ends.is_some_and(|ends| ends < now));
                *need = playing(begun + plan.frames as f64 / 100.0, steps);
            }
            if plan.why == Why::Change {
                steps_in_third[(begun / 20.0).min(2.0) as usize].push(steps);
            }
        }
        let mean = |steps: &[usize]| steps.iter().sum::<usize>() as f64 / steps.len().max(1) as f64;
        let [before, during, after] = steps_in_third.map(|steps| mean(&steps));
        assert_eq!(missing, 0, "of a passage ended before the next was there");
        assert!(before > 1.5 && during < 0.5 && after > 1.5, "{before} {during} {after}");
        // A chord that comes while something else is rendered waits for it, and is in context soon after all the same.
        assert!(latest < 0.3, "{latest} s late");
    }
}
