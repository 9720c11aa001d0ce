//! The table as a picture: how long hiding takes and how many images are done a second, by the
//! number of nodes, with a line for each crowd. Written as SVG by hand; it needs no library and no
//! fonts of its own.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use super::grid::{Cell, cores};
use crate::show;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 640.0;
/// Room at the left for the numbers of the scale, at the right for the names of the lines.
const LEFT: f64 = 78.0;
const RIGHT: f64 = 128.0;
/// The two panels from top to bottom.
const TIMES: (f64, f64) = (110.0, 370.0);
const RATES: (f64, f64) = (430.0, 580.0);

/// From few clients to many: from light to dark.
const INKS: [&str; 6] = [
    "#8cb8d8", "#5a96c6", "#2f6fae", "#1d4e8c", "#15356b", "#0b1d45",
];
/// For what failed.
const ALARM: &str = "#c0392b";

/// The least distance between the names of two lines.
const LINE: f64 = 17.0;

/// Cells of one crowd, by the number of nodes.
type Series<'a> = Vec<&'a Cell>;

/// Draws the cells; each crowd asked for so many images a client.
pub(super) fn draw(cells: &[Cell], images: u32) -> String {
    let mut crowds: BTreeMap<u16, Series<'_>> = BTreeMap::new();
    for cell in cells {
        crowds.entry(cell.clients).or_default().push(cell);
    }
    for series in crowds.values_mut() {
        series.sort_by_key(|cell| cell.nodes);
    }
    let across = Across::of(cells);
    let mut svg = Svg(String::new());
    svg.open();
    head(&mut svg, cells, images);
    times(&mut svg, &across, &crowds);
    rates(&mut svg, &across, &crowds);
    let cores = cores();
    let foot = format!(
        "Nodes and clients share {cores} core{}, so more nodes have no more to work with.",
        show::plural(cores)
    );
    svg.text(LEFT, HEIGHT - 14.0, "note", "start", &foot);
    svg.0.push_str("</svg>\n");
    svg.0
}

fn head(svg: &mut Svg, cells: &[Cell], images: u32) {
    let sum = |of: fn(&Cell) -> u64| cells.iter().map(of).sum::<u64>();
    let (asked, done, kept) = (sum(|c| c.asked), sum(|c| c.done), sum(|c| c.kept));
    let title = if done == asked && kept == asked && sum(|c| c.failed) == 0 {
        format!(
            "{} images hidden, none failed, none lost",
            show::count(asked)
        )
    } else {
        format!(
            "{} images asked for, {} done, {} kept",
            show::count(asked),
            show::count(done),
            show::count(kept)
        )
    };
    svg.text(LEFT, 36.0, "title", "start", &title);
    let how = format!(
        "Each client has {} image{} hidden one after another, notes each in the directory, has it \
         revealed and compares it.",
        show::count(images.into()),
        show::plural(images.into())
    );
    svg.text(LEFT, 58.0, "note", "start", &how);
}

/// The upper panel: half of the images took no longer than the line, 99 of 100 no longer than the
/// upper edge of its band.
fn times(svg: &mut Svg, across: &Across, crowds: &BTreeMap<u16, Series<'_>>) {
    let cells = || crowds.values().flatten();
    let least = cells().map(|cell| cell.p50).min().unwrap_or_default();
    let most = cells().map(|cell| cell.p99).max().unwrap_or_default();
    let up = Logarithm::of(least, most);
    svg.text(
        LEFT,
        TIMES.0 - 16.0,
        "name",
        "start",
        "Time to hide an image: median, and up to the 99th of 100",
    );
    for tick in up.ticks() {
        svg.level(up.place(tick), &show::time(tick));
    }
    across.axis(svg, TIMES.1);
    let mut names = Vec::new();
    for (place, (clients, series)) in crowds.iter().enumerate() {
        let ink = ink(place, crowds.len());
        let points = |of: fn(&Cell) -> Duration| -> Vec<(f64, f64)> {
            let point = |cell: &&Cell| (across.place(cell.nodes), up.place(of(cell)));
            series.iter().map(point).collect()
        };
        let median = points(|cell| cell.p50);
        let mut band = median.clone();
        band.extend(points(|cell| cell.p99).into_iter().rev());
        svg.area(&band, ink);
        svg.line(&median, ink);
        for (cell, &(x, y)) in series.iter().zip(&median) {
            svg.dot(x, y, ink);
            if cell.failed > 0 {
                let failed = format!("{} failed", show::count(cell.failed));
                svg.text(x, y - 10.0, "alarm", "middle", &failed);
            }
        }
        let clients = u64::from(*clients);
        let name = format!("{} client{}", show::count(clients), show::plural(clients));
        names.extend(median.last().map(|&(_, y)| (y, name, ink)));
    }
    svg.names(names);
}

/// The lower panel.
fn rates(svg: &mut Svg, across: &Across, crowds: &BTreeMap<u16, Series<'_>>) {
    let rates = crowds.values().flatten().map(|cell| cell.rate());
    let up = Linear::of(rates.fold(0.0, f64::max));
    svg.text(LEFT, RATES.0 - 16.0, "name", "start", "Images a second");
    for tick in up.ticks() {
        svg.level(up.place(tick), &show::count(tick as u64));
    }
    across.axis(svg, RATES.1);
    for (place, series) in crowds.values().enumerate() {
        let ink = ink(place, crowds.len());
        let point = |cell: &&Cell| (across.place(cell.nodes), up.place(cell.rate()));
        let points: Vec<_> = series.iter().map(point).collect();
        svg.line(&points, ink);
        points.iter().for_each(|&(x, y)| svg.dot(x, y, ink));
    }
    let middle = (LEFT + WIDTH - RIGHT) / 2.0;
    svg.text(middle, RATES.1 + 36.0, "tick", "middle", "nodes");
}

/// The colour of a line among so many.
fn ink(place: usize, of: usize) -> &'static str {
    let spread = place * (INKS.len() - 1) / of.saturating_sub(1).max(1);
    INKS[spread.min(INKS.len() - 1)]
}

/// Numbers of nodes from left to right.
struct Across {
    nodes: Vec<u16>,
}

impl Across {
    fn of(cells: &[Cell]) -> Self {
        let mut nodes: Vec<u16> = cells.iter().map(|cell| cell.nodes).collect();
        nodes.sort_unstable();
        nodes.dedup();
        Self { nodes }
    }

    fn place(&self, nodes: u16) -> f64 {
        /// Between the frame and the first and the last number.
        const MARGIN: f64 = 26.0;
        let (first, last) = (LEFT + MARGIN, WIDTH - RIGHT - MARGIN);
        let ends = (self.nodes.first(), self.nodes.last());
        let (Some(&least), Some(&most)) = ends else {
            return first;
        };
        if least == most {
            return (first + last) / 2.0;
        }
        let part = f64::from(nodes - least) / f64::from(most - least);
        first + part * (last - first)
    }

    fn axis(&self, svg: &mut Svg, bottom: f64) {
        for &nodes in &self.nodes {
            let x = self.place(nodes);
            svg.text(x, bottom + 18.0, "tick", "middle", &nodes.to_string());
        }
    }
}

/// Times from bottom to top, each tenfold as far from the one before.
struct Logarithm {
    least: f64,
    most: f64,
}

impl Logarithm {
    fn of(least: Duration, most: Duration) -> Self {
        // From a tick to a tick, and never nothing.
        let least = Self::steps()
            .rfind(|&tick| tick <= least)
            .unwrap_or(Self::FIRST);
        let most = Self::steps().find(|&tick| tick >= most && tick > least);
        Self {
            least: least.as_secs_f64().log10(),
            most: most.unwrap_or(least * 10).as_secs_f64().log10(),
        }
    }

    const FIRST: Duration = Duration::from_micros(100);

    /// 1, 2, 5, 10, 20, …
    fn steps() -> impl DoubleEndedIterator<Item = Duration> {
        (0..7_u32).flat_map(|power| [1, 2, 5].map(|n| Self::FIRST * n * 10_u32.pow(power)))
    }

    fn ticks(&self) -> impl Iterator<Item = Duration> {
        let decades = self.most - self.least;
        Self::steps().filter(move |tick| {
            let at = tick.as_secs_f64().log10();
            let is_decade = (at - at.round()).abs() < 1e-9;
            // Over many decades only their beginnings, so that the numbers do not touch.
            (self.least - 1e-9..=self.most + 1e-9).contains(&at) && (decades < 3.0 || is_decade)
        })
    }

    fn place(&self, time: Duration) -> f64 {
        let at = time.as_secs_f64().max(1e-9).log10();
        let part = (at - self.least) / (self.most - self.least);
        TIMES.1 - part.clamp(0.0, 1.0) * (TIMES.1 - TIMES.0)
    }
}

/// Rates from bottom to top.
struct Linear {
    step: f64,
    most: f64,
}

impl Linear {
    fn of(most: f64) -> Self {
        // Two to five levels above nothing.
        let rough = most.max(1.0) / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let nice = [1.0, 2.0, 5.0, 10.0].map(|n| n * power);
        let step = nice
            .into_iter()
            .find(|step| *step >= rough)
            .unwrap_or(rough)
            .max(1.0);
        Self {
            step,
            most: (most / step).ceil().max(1.0) * step,
        }
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let levels = (self.most / self.step).round() as u32;
        (0..=levels).map(|level| f64::from(level) * self.step)
    }

    fn place(&self, rate: f64) -> f64 {
        RATES.1 - rate / self.most * (RATES.1 - RATES.0)
    }
}

/// The picture as far as it is drawn.
struct Svg(String);

impl Svg {
    fn open(&mut self) {
        self.add(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\">\n<style>\
             .title{{font-size:21px;font-weight:600;fill:#1c2733}}\
             .note{{font-size:13px;fill:#5b6773}}\
             .name{{font-size:14px;font-weight:600;fill:#33404d}}\
             .tick{{font-size:12px;fill:#5b6773}}\
             .alarm{{font-size:12px;font-weight:600;fill:{ALARM}}}\
             .crowd{{font-size:13px;font-weight:600}}\
             </style>\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>",
        ));
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{element}");
    }

    /// `text` is of our own making: numbers and words.
    fn text(&mut self, x: f64, y: f64, class: &str, anchor: &str, text: &str) {
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    /// A level of a scale, across a panel.
    fn level(&mut self, y: f64, text: &str) {
        let right = WIDTH - RIGHT;
        self.add(format_args!(
            "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#e3e8ed\" stroke-width=\"1\"/>"
        ));
        self.text(LEFT - 10.0, y + 4.0, "tick", "end", text);
    }

    fn line(&mut self, points: &[(f64, f64)], ink: &str) {
        let path = path(points);
        self.add(format_args!(
            "<path d=\"{path}\" fill=\"none\" stroke=\"{ink}\" stroke-width=\"2.2\" \
             stroke-linejoin=\"round\"/>"
        ));
    }

    fn area(&mut self, points: &[(f64, f64)], ink: &str) {
        let path = path(points);
        self.add(format_args!(
            "<path d=\"{path}Z\" fill=\"{ink}\" fill-opacity=\"0.16\"/>"
        ));
    }

    fn dot(&mut self, x: f64, y: f64, ink: &str) {
        self.add(format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.4\" fill=\"{ink}\" stroke=\"#ffffff\" \
             stroke-width=\"1.2\"/>"
        ));
    }

    /// The names of lines at their right ends, apart enough to be read.
    fn names(&mut self, mut names: Vec<(f64, String, &str)>) {
        names.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut free = f64::NEG_INFINITY;
        for (y, name, ink) in names {
            let y = y.max(free);
            free = y + LINE;
            let x = WIDTH - RIGHT + 6.0;
            self.add(format_args!(
                "<text x=\"{x:.1}\" y=\"{:.1}\" class=\"crowd\" fill=\"{ink}\">{name}</text>",
                y + 4.5
            ));
        }
    }
}

fn path(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (place, (x, y)) in points.iter().enumerate() {
        let step = if place == 0 { 'M' } else { 'L' };
        // Writing to a string cannot fail.
        let _ = write!(path, "{step}{x:.1} {y:.1}");
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_of_times_begins_and_ends_at_ticks_around_what_it_shows() {
        let millis = Duration::from_millis;
        let scale = Logarithm::of(millis(3), millis(700));

        let ticks: Vec<_> = scale.ticks().collect();

        let wanted = [2, 5, 10, 20, 50, 100, 200, 500, 1000].map(millis);
        assert_eq!(ticks, wanted);
        assert!((scale.place(millis(2)) - TIMES.1).abs() < 0.1);
        assert!((scale.place(millis(1000)) - TIMES.0).abs() < 0.1);
        assert!(scale.place(millis(3)) > scale.place(millis(4)));
    }

    #[test]
    fn a_scale_of_rates_has_a_handful_of_round_levels() {
        for (most, levels) in [(0.0, 1), (7.0, 4), (870.0, 5), (4100.0, 5), (1001.0, 3)] {
            let scale = Linear::of(most);

            let ticks: Vec<_> = scale.ticks().collect();

            assert_eq!(ticks.len(), levels + 1, "{most}: {ticks:?}");
            assert!(scale.most >= most);
        }
    }

    #[test]
    fn one_number_of_nodes_stands_in_the_middle() {
        let across = Across { nodes: vec![3] };

        assert!((across.place(3) - (LEFT + WIDTH - RIGHT) / 2.0).abs() < 0.1);
    }
}
