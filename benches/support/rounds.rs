//! Rounds: in each, every contender takes its turn. So whatever else the machine does falls on all of
//! them alike, and a ratio within a round means something even where a time does not.

use std::time::{Duration, Instant};

/// One of those that are compared.
pub(crate) struct Contender<'a> {
    name: String,
    prepare: Box<dyn FnMut() + 'a>,
    run: Box<dyn FnMut() + 'a>,
    finish: Box<dyn FnMut() + 'a>,
}

impl<'a> Contender<'a> {
    /// What is timed.
    pub(crate) fn new(name: impl Into<String>, run: impl FnMut() + 'a) -> Self {
        Self { name: name.into(), prepare: Box::new(|| ()), run: Box::new(run), finish: Box::new(|| ()) }
    }

    /// What is done before each turn, not timed.
    pub(crate) fn prepare(self, prepare: impl FnMut() + 'a) -> Self {
        Self { prepare: Box::new(prepare), ..self }
    }

    /// What is done after each turn, not timed.
    pub(crate) fn finish(self, finish: impl FnMut() + 'a) -> Self {
        Self { finish: Box::new(finish), ..self }
    }

    fn turn(&mut self) -> Duration {
        (self.prepare)();
        let start = Instant::now();
        (self.run)();
        let time = start.elapsed();
        (self.finish)();
        time
    }
}

/// How often everybody has a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounds {
    /// As often at least.
    pub(crate) least: usize,
    /// As often at most.
    pub(crate) most: usize,
    /// No new round after this long.
    pub(crate) budget: Duration,
}

impl Rounds {
    /// Enough for a median; two for a smoke.
    pub(crate) fn usual(smoke: bool) -> Self {
        if smoke {
            Self { least: 2, most: 2, ..Self::usual(false) }
        } else {
            Self { least: 7, most: 50, budget: Duration::from_secs(4) }
        }
    }
}

/// What one contender needed, round by round.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Who it was.
    pub(crate) name: String,
    /// One time for each round, in their order.
    pub(crate) times: Vec<Duration>,
}

impl Row {
    /// The time below which that many hundredths of all lie.
    pub(crate) fn percentile(&self, hundredths: usize) -> Duration {
        let mut sorted = self.times.clone();
        sorted.sort();
        sorted[((sorted.len() - 1) * hundredths).div_ceil(100)]
    }

    /// The median of the ratios within the rounds.
    pub(crate) fn ratio(&self, other: &Self) -> f64 {
        let ratio = |(mine, its): (&Duration, &Duration)| mine.as_secs_f64() / its.as_secs_f64();
        let mut ratios: Vec<f64> = self.times.iter().zip(&other.times).map(ratio).collect();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    }
}

/// Lets them all take their turns, forwards and backwards, so that nobody always follows the same.
pub(crate) fn interleave(rounds: Rounds, mut contenders: Vec<Contender<'_>>) -> Vec<Row> {
    let mut rows: Vec<Row> =
        contenders.iter().map(|c| Row { name: c.name.clone(), times: Vec::new() }).collect();
    let start = Instant::now();
    for round in 0..rounds.most {
        if round >= rounds.least && start.elapsed() > rounds.budget {
            break;
        }
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let time = contenders[at].turn();
            rows[at].times.push(time);
        }
    }
    rows
}

/// Prints times, and how many times as long as each of these yardsticks everybody took.
pub(crate) fn print(title: &str, rows: &[Row], yardsticks: &[&str]) {
    let rounds = rows.first().map_or(0, |row| row.times.len());
    let yardsticks: Vec<&Row> =
        yardsticks.iter().filter_map(|name| rows.iter().find(|row| row.name == *name)).collect();
    println!("\n{title} ({rounds} rounds)");
    print!("  {:<34} {:>10} {:>10} {:>10}  ", "ms", "min", "p50", "p90");
    println!("{}", yardsticks.iter().map(|y| format!("  × {:<18}", y.name)).collect::<String>());
    for row in rows {
        let at = |hundredths| row.percentile(hundredths).as_secs_f64() * 1e3;
        print!("  {:<34} {:>10.3} {:>10.3} {:>10.3}  ", row.name, at(0), at(50), at(90));
        println!("{}", yardsticks.iter().map(|y| format!("  {:<20.3}", row.ratio(y))).collect::<String>());
    }
}
