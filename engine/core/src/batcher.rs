//! Which windows run together.
//!
//! In: windows of sound with their length, language and urgency, finished batches, time. Out:
//! batches of windows of like length and one language, started when they are full or when their
//! most urgent window has waited long enough. Knows nothing of sound or models: a window carries
//! whatever its owner needs as `payload`.
//!
//! Full: a window beyond `waiting_max` is handed back ([`Output::Refused`]). A live window's
//! sound lies on disk and is read from the sealed recording later; other owners offer again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::id::RecordingId;
use crate::manner::Manner;
use crate::text::Language;
use crate::time::Instant;

/// How urgent a window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Of a recording whose caller has hung up: somebody waits for the text.
    Finished,
    /// To be read again at a higher temperature: the rest of its recording waits for it.
    Rerun,
    /// Of a call under way: there is time until the hang-up.
    Live,
    /// Of a file that somebody asks about: it runs whenever nothing else is due.
    File,
}

/// A stretch of sound to be read in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window<T> {
    /// Whose.
    pub recording: RecordingId,
    /// Its place in the recording, from 0.
    pub number: u32,
    /// How long it is.
    pub length: Duration,
    /// The language to read it in; `None`: to be heard.
    pub language: Option<Language>,
    /// How to read it.
    pub manner: Manner,
    /// How urgent it is.
    pub lane: Lane,
    /// Whether it runs in a batch of its own: it was in one that failed, and may be what failed it.
    pub alone: bool,
    /// What its owner needs: samples, features, a key.
    pub payload: T,
}

/// Limits of a batcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatcherConfig {
    /// Upper ends of the length buckets, rising; a longer window counts as the last one.
    pub edges: Vec<Duration>,
    /// Most windows in a batch.
    pub windows_max: usize,
    /// Most sound in a batch, every window padded to its bucket's end.
    pub padded_max: Duration,
    /// Most batches under way.
    pub in_flight_max: usize,
    /// Most windows that wait.
    pub waiting_max: usize,
    /// How long a finished recording's window waits for company.
    pub finished_wait: Duration,
    /// How long a rerun does.
    pub rerun_wait: Duration,
    /// How long a live window does.
    pub live_wait: Duration,
    /// How far a file's window stands behind a finished recording's. It runs at once when nothing
    /// else is due.
    pub file_wait: Duration,
}

impl Default for BatcherConfig {
    fn default() -> Self {
        Self {
            edges: [2, 4, 6, 8, 12, 16, 20, 30].map(Duration::from_secs).to_vec(),
            windows_max: 16,
            padded_max: Duration::from_mins(2),
            in_flight_max: 1,
            waiting_max: 4_096,
            finished_wait: Duration::from_millis(20),
            rerun_wait: Duration::from_millis(50),
            live_wait: Duration::from_secs(2),
            file_wait: Duration::from_secs(2),
        }
    }
}

/// What a batcher may be told.
#[derive(Debug)]
pub enum Input<T> {
    /// A window to be read.
    Window(Window<T>),
    /// The batch with this ticket is done, well or badly.
    Done(u64),
    /// The caller hung up: what waits of this recording is urgent now.
    Finished(RecordingId),
    /// Nobody wants this recording's windows any more. Those under way run to their end.
    Cancel(RecordingId),
    /// Nothing but time has passed.
    Tick,
}

/// What a batcher wants done.
#[derive(Debug, PartialEq, Eq)]
pub enum Output<T> {
    /// Read these together.
    Run(Batch<T>),
    /// Too many windows wait: this one is not taken.
    Refused(Window<T>),
    /// Nothing to do until then, or until the next input.
    Idle {
        /// When to wake; `None`: nothing waits for time.
        until: Option<Instant>,
    },
}

/// Windows that run together.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch<T> {
    /// Names the batch in [`Input::Done`].
    pub ticket: u64,
    /// Every window is padded to this length.
    pub padded: Duration,
    /// The language of all of them; `None`: to be heard.
    pub language: Option<Language>,
    /// How to read them.
    pub manner: Manner,
    /// The windows, most urgent first.
    pub windows: Vec<Window<T>>,
}

/// The batcher core.
#[derive(Debug)]
pub struct Batcher<T> {
    config: BatcherConfig,
    now: Instant,
    groups: BTreeMap<Group, BTreeMap<Turn, Window<T>>>,
    waiting: usize,
    in_flight: Vec<u64>,
    tickets: u64,
    arrivals: u64,
    refused: VecDeque<Window<T>>,
}

/// Windows that may share a batch: bucket, language code, manner, and the arrival of one that
/// shares with none (0 for all others).
type Group = (usize, &'static str, Manner, u64);
/// When a window must run, and its order of arrival.
type Turn = (Instant, u64);

impl<T> Batcher<T> {
    /// An empty batcher.
    pub fn new(config: BatcherConfig) -> Self {
        assert!(config.edges.is_sorted() && !config.edges.is_empty(), "edges rise");
        assert!(config.windows_max > 0 && config.in_flight_max > 0, "a batch can run");
        Self {
            config,
            now: Instant::default(),
            groups: BTreeMap::new(),
            waiting: 0,
            in_flight: Vec::new(),
            tickets: 0,
            arrivals: 0,
            refused: VecDeque::new(),
        }
    }

    /// Tells the batcher something. Drain [`Batcher::poll`] to `Idle` afterwards.
    pub fn handle(&mut self, now: Instant, input: Input<T>) {
        self.now = now;
        match input {
            Input::Window(window) => self.take(window),
            Input::Done(ticket) => self.in_flight.retain(|&running| running != ticket),
            Input::Finished(recording) => self.hurry(recording),
            Input::Cancel(recording) => {
                self.remove(recording);
            }
            Input::Tick => {}
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Output<T> {
        if let Some(window) = self.refused.pop_front() {
            return Output::Refused(window);
        }
        if self.in_flight.len() >= self.config.in_flight_max {
            return Output::Idle { until: None };
        }
        // The most urgent batch first; a full one runs before its time if nothing is due.
        let due =
            |turns: &BTreeMap<Turn, Window<T>>| turns.first_key_value().map(|first| first.0.0);
        let urgent = self
            .groups
            .iter()
            .filter_map(|(&group, turns)| due(turns).map(|due| (due, group)))
            .min();
        let Some((first_due, urgent)) = urgent else { return Output::Idle { until: None } };
        if first_due <= self.now {
            return Output::Run(self.run(urgent));
        }
        let full = |(&group, turns): (&Group, &BTreeMap<Turn, Window<T>>)| {
            (turns.len() >= self.rows(group.0)).then_some(group)
        };
        if let Some(group) = self.groups.iter().find_map(full) {
            return Output::Run(self.run(group));
        }
        // Nothing is due and a place is free: files need not wait for company.
        let has_file = |turns: &BTreeMap<Turn, Window<T>>| {
            turns.values().any(|window| window.lane == Lane::File)
        };
        let eager = self
            .groups
            .iter()
            .filter(|(_, turns)| has_file(turns))
            .filter_map(|(&group, turns)| due(turns).map(|due| (due, group)))
            .min();
        match eager {
            Some((_, group)) => Output::Run(self.run(group)),
            None => Output::Idle { until: Some(first_due) },
        }
    }

    /// Windows that wait.
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    fn take(&mut self, window: Window<T>) {
        if self.waiting >= self.config.waiting_max {
            self.refused.push_back(window);
            return;
        }
        let bucket = self.config.edges.partition_point(|&edge| edge < window.length);
        let bucket = bucket.min(self.config.edges.len() - 1);
        let wait = match window.lane {
            Lane::Finished => self.config.finished_wait,
            Lane::Rerun => self.config.rerun_wait,
            Lane::Live => self.config.live_wait,
            Lane::File => self.config.file_wait,
        };
        self.arrivals += 1;
        let own = if window.alone { self.arrivals } else { 0 };
        let group = (bucket, window.language.map_or("", Language::code), window.manner, own);
        self.waiting += 1;
        let turn = (self.now + wait, self.arrivals);
        self.groups.entry(group).or_default().insert(turn, window);
    }

    fn hurry(&mut self, recording: RecordingId) {
        for mut window in self.remove(recording) {
            if window.lane == Lane::Live {
                window.lane = Lane::Finished;
            }
            self.take(window);
        }
    }

    fn remove(&mut self, recording: RecordingId) -> Vec<Window<T>> {
        let mut removed = Vec::new();
        for turns in self.groups.values_mut() {
            removed.extend(turns.extract_if(.., |_, window| window.recording == recording));
        }
        self.groups.retain(|_, turns| !turns.is_empty());
        self.waiting -= removed.len();
        removed.sort_by_key(|(turn, _)| turn.1);
        removed.into_iter().map(|(_, window)| window).collect()
    }

    /// Windows of this bucket that fit a batch.
    fn rows(&self, bucket: usize) -> usize {
        let padded = self.config.edges[bucket].as_millis().max(1);
        let fit = (self.config.padded_max.as_millis() / padded) as usize;
        fit.clamp(1, self.config.windows_max)
    }

    fn run(&mut self, group: Group) -> Batch<T> {
        let rows = self.rows(group.0);
        let turns = self.groups.get_mut(&group).expect("the group was just found");
        let mut windows = Vec::with_capacity(rows.min(turns.len()));
        while windows.len() < rows
            && let Some((_, window)) = turns.pop_first()
        {
            windows.push(window);
        }
        if turns.is_empty() {
            self.groups.remove(&group);
        }
        self.waiting -= windows.len();
        self.tickets += 1;
        self.in_flight.push(self.tickets);
        Batch {
            ticket: self.tickets,
            padded: self.config.edges[group.0],
            language: Language::from_code(group.1),
            manner: group.2,
            windows,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::manner::{Task, Temperature};

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn window(recording: u128, millis: u64, lane: Lane) -> Window<u128> {
        Window {
            recording: RecordingId::from_u128(recording),
            number: 0,
            length: Duration::from_millis(millis),
            language: Some(Language::Japanese),
            manner: Manner::default(),
            lane,
            alone: false,
            payload: recording,
        }
    }

    fn tell(batcher: &mut Batcher<u128>, millis: u64, input: Input<u128>) -> Vec<Output<u128>> {
        batcher.handle(at(millis), input);
        let mut outputs = Vec::new();
        loop {
            let output = batcher.poll();
            let idle = matches!(output, Output::Idle { .. });
            outputs.push(output);
            if idle {
                return outputs;
            }
        }
    }

    fn batches(outputs: Vec<Output<u128>>) -> Vec<(Duration, Vec<u128>)> {
        outputs
            .into_iter()
            .filter_map(|output| match output {
                Output::Run(batch) => {
                    Some((batch.padded, batch.windows.iter().map(|w| w.payload).collect()))
                }
                _ => None,
            })
            .collect()
    }

    fn offer(
        batcher: &mut Batcher<u128>,
        now: u64,
        window: Window<u128>,
    ) -> Vec<(Duration, Vec<u128>)> {
        batches(tell(batcher, now, Input::Window(window)))
    }

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn windows_wait_for_company_until_their_time_and_not_longer() {
        let mut batcher = Batcher::new(BatcherConfig::default());
        let outputs = tell(&mut batcher, 0, Input::Window(window(1, 1_500, Lane::Finished)));
        assert_eq!(outputs, [Output::Idle { until: Some(at(20)) }]);
        assert!(offer(&mut batcher, 5, window(2, 2_000, Lane::Live)).is_empty());
        assert!(batches(tell(&mut batcher, 19, Input::Tick)).is_empty());
        assert_eq!(batches(tell(&mut batcher, 20, Input::Tick)), [(S(2), vec![1, 2])]);
    }

    #[test]
    fn lengths_and_languages_do_not_mix() {
        let config = BatcherConfig { in_flight_max: 9, ..BatcherConfig::default() };
        let mut batcher = Batcher::new(config);
        offer(&mut batcher, 0, window(1, 2_000, Lane::Finished));
        offer(&mut batcher, 0, window(2, 2_001, Lane::Finished));
        let english =
            Window { language: Some(Language::English), ..window(3, 2_000, Lane::Finished) };
        offer(&mut batcher, 0, english);
        let detect = Window { language: None, ..window(4, 99_000, Lane::Finished) };
        offer(&mut batcher, 0, detect);
        let mut ran = batches(tell(&mut batcher, 20, Input::Tick));
        ran.sort_by_key(|batch| batch.1[0]);
        assert_eq!(ran, [(S(2), vec![1]), (S(4), vec![2]), (S(2), vec![3]), (S(30), vec![4])]);
    }

    #[test]
    fn manners_do_not_mix() {
        let config = BatcherConfig { in_flight_max: 9, ..BatcherConfig::default() };
        let mut batcher = Batcher::new(config);
        let hot = Temperature::new(0.4).unwrap();
        let manners = [
            Manner::default(),
            Manner { task: Task::Translate, ..Manner::default() },
            Manner { temperature: hot, ..Manner::default() },
            Manner { prompt_tokens: 3, ..Manner::default() },
            Manner { words: true, ..Manner::default() },
            Manner::default(),
        ];
        for (manner, recording) in manners.into_iter().zip(1..) {
            offer(&mut batcher, 0, Window { manner, ..window(recording, 500, Lane::Finished) });
        }
        let mut ran = batches(tell(&mut batcher, 20, Input::Tick));
        ran.sort_by_key(|batch| batch.1[0]);
        let together: Vec<_> = ran.into_iter().map(|batch| batch.1).collect();
        assert_eq!(together, [vec![1, 6], vec![2], vec![3], vec![4], vec![5]]);
    }

    #[test]
    fn a_window_that_is_to_be_alone_is() {
        let config = BatcherConfig { in_flight_max: 9, ..BatcherConfig::default() };
        let mut batcher = Batcher::new(config);
        for (recording, alone) in [(1, false), (2, true), (3, true), (4, false)] {
            let window = Window { alone, ..window(recording, 500, Lane::Rerun) };
            offer(&mut batcher, 0, window);
        }
        let mut ran = batches(tell(&mut batcher, 50, Input::Tick));
        ran.sort_by_key(|batch| batch.1[0]);
        let together: Vec<_> = ran.into_iter().map(|batch| batch.1).collect();
        assert_eq!(together, [vec![1, 4], vec![2], vec![3]]);
    }

    #[test]
    fn files_run_at_once_when_nothing_is_due_and_behind_all_that_is() {
        let mut batcher = Batcher::new(BatcherConfig::default());
        let outputs = tell(&mut batcher, 0, Input::Window(window(1, 500, Lane::File)));
        let Output::Run(Batch { ticket, .. }) = outputs[0] else { panic!("{outputs:?}") };
        // While the place is taken, a file waits beside a caller who came later.
        offer(&mut batcher, 10, window(2, 5_000, Lane::File));
        offer(&mut batcher, 50, window(3, 500, Lane::Finished));
        let outputs = tell(&mut batcher, 100, Input::Done(ticket));
        let Output::Run(Batch { ticket, .. }) = outputs[0] else { panic!("{outputs:?}") };
        assert_eq!(batches(outputs), [(S(2), vec![3])]);
        assert_eq!(batches(tell(&mut batcher, 101, Input::Done(ticket))), [(S(6), vec![2])]);
    }

    #[test]
    fn full_batch_runs_at_once_and_one_more_waits() {
        let config = BatcherConfig { windows_max: 3, in_flight_max: 9, ..BatcherConfig::default() };
        let mut batcher = Batcher::new(config);
        assert!(offer(&mut batcher, 0, window(1, 500, Lane::Live)).is_empty());
        assert!(offer(&mut batcher, 0, window(2, 500, Lane::Live)).is_empty());
        assert_eq!(offer(&mut batcher, 0, window(3, 500, Lane::Live)), [(S(2), vec![1, 2, 3])]);
        assert!(offer(&mut batcher, 0, window(4, 500, Lane::Live)).is_empty());
        assert_eq!(batcher.waiting(), 1);
    }

    #[test]
    fn padding_bounds_a_batch_of_long_windows() {
        let config = BatcherConfig { padded_max: S(60), ..BatcherConfig::default() };
        let mut batcher = Batcher::new(config);
        assert!(offer(&mut batcher, 0, window(1, 25_000, Lane::Live)).is_empty());
        assert_eq!(offer(&mut batcher, 0, window(2, 30_000, Lane::Live)), [(S(30), vec![1, 2])]);
    }

    #[test]
    fn no_more_batches_run_than_allowed_and_the_most_urgent_goes_next() {
        let mut batcher = Batcher::new(BatcherConfig::default());
        offer(&mut batcher, 0, window(1, 500, Lane::Finished));
        let outputs = tell(&mut batcher, 20, Input::Tick);
        let [Output::Run(Batch { ticket, .. }), Output::Idle { until: None }] = outputs[..] else {
            panic!("{outputs:?}")
        };
        offer(&mut batcher, 30, window(2, 500, Lane::Live));
        offer(&mut batcher, 40, window(3, 5_000, Lane::Finished));
        assert!(batches(tell(&mut batcher, 3_000, Input::Tick)).is_empty());
        assert_eq!(batches(tell(&mut batcher, 3_000, Input::Done(ticket))), [(S(6), vec![3])]);
    }

    #[test]
    fn hang_up_makes_what_waits_urgent() {
        let mut batcher = Batcher::new(BatcherConfig::default());
        offer(&mut batcher, 0, window(1, 500, Lane::Live));
        tell(&mut batcher, 100, Input::Finished(RecordingId::from_u128(1)));
        assert_eq!(batches(tell(&mut batcher, 120, Input::Tick)), [(S(2), vec![1])]);
    }

    #[test]
    fn cancelled_recording_never_runs() {
        let mut batcher = Batcher::new(BatcherConfig::default());
        offer(&mut batcher, 0, window(1, 500, Lane::Live));
        offer(&mut batcher, 0, window(2, 500, Lane::Live));
        tell(&mut batcher, 1, Input::Cancel(RecordingId::from_u128(1)));
        assert_eq!(batches(tell(&mut batcher, 2_000, Input::Tick)), [(S(2), vec![2])]);
        assert_eq!(batcher.waiting(), 0);
    }

    #[test]
    fn window_past_the_limit_is_handed_back() {
        let config = BatcherConfig { waiting_max: 1, ..BatcherConfig::default() };
        let mut batcher = Batcher::new(config);
        offer(&mut batcher, 0, window(1, 500, Lane::Live));
        let outputs = tell(&mut batcher, 0, Input::Window(window(2, 500, Lane::Live)));
        assert_eq!(outputs[0], Output::Refused(window(2, 500, Lane::Live)));
        assert_eq!(batcher.waiting(), 1);
    }

    proptest! {
        #[test]
        fn every_window_runs_once_by_its_time_in_a_batch_of_its_kind(
            windows in prop::collection::vec((1_u64..31_000, 0_u64..100, 0_u8..4), 1..200),
        ) {
            let config = BatcherConfig { in_flight_max: usize::MAX, ..BatcherConfig::default() };
            let mut batcher = Batcher::new(config.clone());
            let (mut now, mut ran) = (0, Vec::new());
            let mut arrived = Vec::new();
            for (n, &(millis, pause, lane)) in (0_u128..).zip(&windows) {
                now += pause;
                arrived.push(now);
                let lane = [Lane::Finished, Lane::Rerun, Lane::Live, Lane::File][usize::from(lane)];
                let mut step = tell(&mut batcher, now, Input::Window(window(n, millis, lane)));
                for output in step.drain(..) {
                    if let Output::Run(batch) = output {
                        prop_assert!(batch.padded * batch.windows.len() as u32 <= config.padded_max);
                        prop_assert!(batch.windows.len() <= config.windows_max);
                        for window in &batch.windows {
                            prop_assert!(window.length <= batch.padded || batch.padded == S(30));
                            let waited = now - arrived[window.payload as usize];
                            prop_assert!(waited <= 2_000 + 100);
                        }
                        ran.extend(batch.windows.iter().map(|window| window.payload));
                    }
                }
            }
            for (_, payloads) in batches(tell(&mut batcher, now + 10_000, Input::Tick)) {
                ran.extend(payloads);
            }
            ran.sort_unstable();
            prop_assert_eq!(ran, (0..windows.len() as u128).collect::<Vec<_>>());
        }
    }
}
