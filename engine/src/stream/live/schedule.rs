//! What to render next, and how well: a pure function of the time, of what each part needs, and of what was measured.
//!
//! One part at a time: a batch of four finishes all four when one by one the last would, and until then nothing new is
//! heard of. Promises that what is due first comes first, that only as many steps are asked for as fit before all that
//! waits is due, and that quality is lowered (steps, then length) before a passage is planned to be late. What is late all
//! the same is not waited for: the instant voice carries on.

use super::cost::Costs;
use crate::stream::MAX_PARTS;

/// Frames that the networks see before the first one heard.
pub(crate) const CONTEXT_FRAMES: usize = 16;
/// Frames to be heard, long to short. With context and edge they are 128, 96 and 64 frames of one network call.
pub(crate) const LENGTHS: [usize; 3] = [LONGEST, 77, 45];
/// Frames to be heard where there is time.
pub(crate) const LONGEST: usize = 109;
/// Frames of a network call that are not heard.
pub(crate) const OVERHEAD: usize = 19;
/// Seconds after a key in which its passage is to have arrived. With the fade it is in place within 0.2 s, which leaves
/// what is played on meanwhile, and asks for another passage, some of the 0.25 s.
const TARGET: f64 = 0.12;
/// The same where nothing new was struck but something ended, or other players came: the instant voice plays the end of a
/// note well enough for long, and what waits to be heard in context comes first.
const RELAXED: f64 = 0.3;
/// A passage is continued at least this many seconds before it ends, on top of what rendering takes: enough for a run under
/// way, a block of the host and the fade. Sooner would be in vain where something new is played every moment.
const AHEAD: f64 = 0.08;
/// Seconds at most that a better rendering of what already sounds may take.
const REFINE: f64 = 0.3;

/// What one part needs, in stream seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Need {
    /// A note is held, or rings on audibly.
    pub sounding: bool,
    /// When the first note was struck that waits to be heard in context.
    pub struck: Option<f64>,
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
    /// Something new was struck.
    Change,
    /// What sounds is about to end, or something in it has ended.
    Continue,
    /// There is time to make it better.
    Refine,
}

/// One run of the networks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Plan {
    pub why: Why,
    pub part: usize,
    /// Frames to be heard.
    pub frames: usize,
    pub steps: usize,
    /// When it is to be finished, in stream seconds: its own time, or sooner where others wait.
    pub due: f64,
}

/// Chooses at stream time `now`; `asked` steps are the most that the musician wants.
pub(crate) fn plan(now: f64, asked: usize, needs: &[Need; MAX_PARTS], costs: &Costs) -> Option<Plan> {
    let sounding = || needs.iter().enumerate().filter(|(_, need)| need.sounding);
    // What the shortest passages of all that sounds take. A chord may be played at any time, and must not wait longer than
    // leaves it that.
    let chord = sounding().count() as f64 * costs.seconds(1, LENGTHS[LENGTHS.len() - 1] + OVERHEAD, 0);
    let spare = TARGET - chord;
    let horizon = now + AHEAD + chord;
    let mut waiting = [(f64::INFINITY, 0); MAX_PARTS];
    let mut count = 0;
    for (part, need) in sounding() {
        let struck = need.struck.map(|struck| struck + TARGET);
        let change = struck.or(need.changed.map(|changed| changed + RELAXED));
        let end = need.ends.filter(|ends| *ends < horizon);
        if let Some(due) = change.into_iter().chain(end).min_by(f64::total_cmp) {
            waiting[count] = (due, part);
            count += 1;
        }
    }
    let waiting = &mut waiting[..count];
    waiting.sort_by(|a, b| a.0.total_cmp(&b.0));
    if let Some(&(_, part)) = waiting.first() {
        // If each takes as long as this one, all are in time.
        let shares = waiting.iter().zip(1..).map(|(&(due, _), place)| (due - now) / f64::from(place));
        let time = shares.fold(f64::INFINITY, f64::min);
        return Some(match needs[part].struck {
            Some(_) => fit(Why::Change, part, asked, (now, time), costs),
            None => fit(Why::Continue, part, asked, (now, time.min(spare)), costs),
        });
    }
    let (part, need) = sounding().filter(|(_, need)| need.steps < asked).min_by_key(|(_, need)| need.steps)?;
    // Prior, a step and vocoder are not given up for what is played.
    if costs.seconds(1, LONGEST + OVERHEAD, 1) > spare {
        return None;
    }
    let next_end = sounding().filter_map(|(_, need)| need.ends).fold(f64::INFINITY, f64::min);
    let time = (next_end - AHEAD - now).min(REFINE);
    let steps = costs.steps(asked, 1, LONGEST + OVERHEAD, time);
    (steps > need.steps).then_some(Plan { why: Why::Refine, part, frames: LONGEST, steps, due: now + time })
}

/// The longest passage whose prior fits into `time` seconds from now on, with the steps that still fit.
fn fit(why: Why, part: usize, asked: usize, (now, time): (f64, f64), costs: &Costs) -> Plan {
    let shortest = LENGTHS[LENGTHS.len() - 1];
    let fitting = LENGTHS.into_iter().find(|frames| costs.fits((1, frames + OVERHEAD, 0), time));
    let frames = fitting.unwrap_or(shortest);
    Plan { why, part, frames, steps: costs.steps(asked, 1, frames + OVERHEAD, time), due: now + time }
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
        Need { sounding: true, struck: Some(at), changed: Some(at), ..Need::default() }
    }

    fn playing(ends: f64, steps: usize) -> Need {
        Need { sounding: true, ends: Some(ends), steps, ..Need::default() }
    }

    #[test]
    fn silence_needs_nothing() {
        assert_eq!(plan(1.0, 4, &needs(&[]), &machine(20.0, 10.0)), None);
        let faded = Need { changed: Some(0.9), ends: Some(1.0), ..Need::default() };
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
    fn a_chord_is_in_time_part_by_part_whenever_the_machine_allows() {
        for base in 1..100 {
            for parts in 1..=MAX_PARTS {
                let costs = machine(f64::from(base), f64::from(base) / 3.0);
                let (mut now, mut state) = (1.0, needs(&vec![changed(0.99); parts]));
                let least = parts as f64 * costs.seconds(1, LENGTHS[2] + OVERHEAD, 0);
                let order: Vec<usize> = (0..parts)
                    .map(|_| {
                        let plan = plan(now, 8, &state, &costs).unwrap();
                        now += costs.seconds(1, plan.frames + OVERHEAD, plan.steps);
                        (state[plan.part].struck, state[plan.part].changed) = (None, None);
                        plan.part
                    })
                    .collect();
                assert_eq!(order.iter().collect::<std::collections::HashSet<_>>().len(), parts, "{order:?}");
                let possible = least <= 0.8 * (0.99 + TARGET - 1.0);
                assert!(!possible || now <= 0.99 + TARGET, "{base} ms, {parts} parts: done at {now}");
            }
        }
    }

    #[test]
    fn what_is_due_first_comes_first_and_a_change_before_a_better_rendering() {
        let costs = machine(10.0, 5.0);
        let plan_of = |parts: &[Need]| plan(2.0, 4, &needs(parts), &costs).map(|plan| (plan.part, plan.why)).unwrap();
        assert_eq!(plan_of(&[playing(2.05, 4), changed(1.99), playing(2.9, 0)]), (0, Why::Continue));
        assert_eq!(plan_of(&[playing(2.9, 0), changed(1.99), playing(2.2, 0)]), (1, Why::Change));
        assert_eq!(plan_of(&[changed(1.99), changed(1.98)]), (1, Why::Change));
        // A change under a passage that ends is both at once.
        assert_eq!(plan_of(&[Need { struck: Some(1.99), ..playing(2.05, 4) }, changed(1.98)]), (0, Why::Change));
    }

    #[test]
    fn what_was_struck_is_not_kept_waiting_by_what_ended() {
        let costs = machine(10.0, 5.0);
        let ended = |at| Need { changed: Some(at), ..playing(2.9, 4) };
        let plan_of = |parts: &[Need]| plan(2.0, 4, &needs(parts), &costs).map(|plan| (plan.part, plan.why)).unwrap();
        assert_eq!(plan_of(&[ended(1.9), changed(1.99)]), (1, Why::Change));
        assert_eq!(plan_of(&[ended(1.9), playing(2.9, 4)]), (0, Why::Continue));
        // It comes to its turn all the same.
        assert_eq!(plan_of(&[ended(1.75), changed(1.99)]), (0, Why::Continue));
    }

    #[test]
    fn a_passage_is_continued_before_it_ends_and_not_much_sooner() {
        let costs = machine(10.0, 5.0);
        assert_eq!(plan(2.0, 4, &needs(&[playing(2.5, 4)]), &costs), None);
        let plan = plan(2.42, 4, &needs(&[playing(2.5, 4)]), &costs).unwrap();
        assert_eq!((plan.why, plan.frames, plan.steps), (Why::Continue, LENGTHS[0], 4));
    }

    #[test]
    fn spare_time_is_spent_on_steps_and_only_once() {
        let costs = machine(10.0, 5.0);
        let refined = plan(2.0, 4, &needs(&[playing(2.9, 4), playing(2.9, 0)]), &costs).unwrap();
        assert_eq!((refined.why, refined.steps, refined.part), (Why::Refine, 4, 1));
        assert_eq!(plan(2.0, 4, &needs(&[playing(2.9, 4)]), &costs), None);
        // No time for more steps than it has: nothing is begun in vain.
        assert_eq!(plan(2.0, 4, &needs(&[playing(2.9, 1)]), &machine(100.0, 100.0)), None);
        // Nor what a new note would have to wait for.
        assert_eq!(plan(2.0, 4, &needs(&[playing(2.9, 0); 4]), &machine(60.0, 30.0)), None);
    }

    /// What a minute of playing on a fake clock came to.
    #[derive(Default)]
    struct Minute {
        /// Seconds from a change to its passage.
        waits: Vec<f64>,
        /// Steps of the passages that follow changes, by third of the minute.
        steps: [Vec<usize>; 3],
        /// Passages that ended before the next was there.
        missing: usize,
    }

    /// Plays four parts whose notes begin every `interval` seconds, `together` or one after the other, on a machine that
    /// takes `base` and `step` milliseconds for a row of 128 frames, times `slow`.
    fn play(interval: f64, together: bool, (base, step): (f64, f64), slow: impl Fn(f64) -> f64) -> Minute {
        let mut costs = machine(base, step);
        let mut minute = Minute::default();
        let (mut now, mut state) = (0.0f64, needs(&[playing(1.0, 4); 4]));
        let mut next: [f64; 4] = std::array::from_fn(|part| if together { 0.0 } else { part as f64 * interval / 4.0 });
        while now < 60.0 {
            for (need, next) in state.iter_mut().zip(&mut next) {
                while *next <= now {
                    need.changed = need.changed.or(Some(*next));
                    need.struck = need.changed;
                    *next += interval;
                }
            }
            let Some(plan) = plan(now, 4, &state, &costs) else {
                now += 0.002;
                continue;
            };
            let slow = slow(now);
            let (base, step) = (slow * base / 128e3, slow * step / 128e3);
            // The worker asks before every step whether there is time for it, or whether something was played.
            let size = (plan.frames + OVERHEAD) as f64;
            let soonest = next.into_iter().fold(f64::INFINITY, f64::min);
            let more = |done: &usize| {
                let then = now + size * (0.5 * base + step * *done as f64);
                let in_time = then + costs.last_step(1, plan.frames + OVERHEAD) < plan.due;
                match plan.why {
                    Why::Change => in_time,
                    Why::Continue => in_time && then < soonest,
                    Why::Refine => then < soonest,
                }
            };
            let steps = (0..plan.steps).take_while(|done| *done == 0 || more(done)).count();
            let (spent, took) = run(1, plan.frames + OVERHEAD, steps, (base, step));
            costs.learn(&spent, took, 1.0);
            let begun = now;
            now += took;
            let need = &mut state[plan.part];
            if let Some(changed) = need.changed {
                minute.waits.push(now - changed);
                minute.steps[(begun / 20.0).min(2.0) as usize].push(steps);
            }
            minute.missing += usize::from(need.ends.is_some_and(|ends| ends < now));
            *need = playing(begun + plan.frames as f64 / 100.0, steps);
        }
        minute.waits.sort_by(f64::total_cmp);
        minute
    }

    #[test]
    fn under_load_steps_fall_and_nothing_runs_out() {
        let load = |now: f64| if (20.0..40.0).contains(&now) { 4.0 } else { 1.0 };
        let minute = play(0.25, true, (12.0, 6.0), load);
        let mean = |steps: &[usize]| steps.iter().sum::<usize>() as f64 / steps.len().max(1) as f64;
        let [before, during, after] = minute.steps.map(|steps| mean(&steps));
        assert_eq!(minute.missing, 0, "passages ended before the next was there");
        assert!(before > 1.0 && during < 0.5 && after > 1.0, "{before} {during} {after}");
    }

    #[test]
    fn in_dense_playing_nineteen_of_twenty_passages_are_in_place_within_a_quarter_of_a_second() {
        // With the fade.
        const IN_TIME: f64 = 0.17;
        // Notes of a quarter of a second in four parts, on a core that takes 20, 40 and 60 ms for a passage of 1.1 s.
        for (base, step) in [(20.0, 10.0), (40.0, 20.0), (60.0, 30.0)] {
            for together in [true, false] {
                let minute = play(0.25, together, (base, step), |_| 1.0);
                let within = |share: f64| minute.waits[(minute.waits.len() as f64 * share) as usize];
                assert!(
                    within(0.95) <= IN_TIME && minute.missing == 0,
                    "{base} ms, together: {together}: {:.3} s, {:.3} s; {} missing",
                    within(0.5),
                    within(0.95),
                    minute.missing
                );
            }
        }
    }
}
