//! [`NodeStats`] as Prometheus reads it (text exposition format 0.0.4).
//!
//! Every family has its HELP and TYPE, all of its samples stand together, and label values are
//! escaped. Base units, names with `distri_`; only what a process costs has the names that every
//! Prometheus client gives it.

use std::fmt::{self, Display, Write};

use super::{Latency, MethodStats, NodeStats};

/// Upper bounds of the buckets of latencies, as powers of two of a nanosecond: from 16 µs to 69 s,
/// each four times the one before, where counts are exact.
const BOUNDS: [u32; 12] = [14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36];

impl NodeStats {
    /// The text that a Prometheus server scrapes.
    pub fn to_prometheus(&self) -> String {
        let mut text = Text::default();
        self.node(&mut text);
        self.links(&mut text);
        self.directory(&mut text);
        calls(&mut text, "served", &self.served);
        calls(&mut text, "made", &self.made);
        text.0
    }

    fn node(&self, text: &mut Text) {
        text.gauge("distri_node_info", "What the node is; always 1.");
        let labels = [
            ("key", &self.key),
            ("name", &self.name),
            ("program", &self.program),
        ];
        text.sample(
            "distri_node_info",
            &labels.map(|(name, value)| (name, value.as_str())),
            1,
        );
        let uptime = Seconds(self.uptime_ms);
        text.one_gauge(
            "distri_uptime_seconds",
            "Time since the node started.",
            uptime,
        );
        text.one_gauge(
            "distri_draining",
            "1 if it takes no new calls.",
            u8::from(self.draining),
        );
        text.one_gauge(
            "distri_services_not_serving",
            "Services that cannot serve now.",
            self.not_serving.len(),
        );
        text.one_gauge(
            "distri_calls_in_flight",
            "Calls being served.",
            self.in_flight,
        );
        text.one_gauge(
            "distri_timer_lag_seconds",
            "By how much the node's own timer was late, the worst of the last ten to twenty seconds.",
            Seconds(self.loop_lag_ms),
        );
        let members = &self.members;
        text.gauge(
            "distri_members",
            "Members of the cloud, as the node sees them.",
        );
        for (state, count) in [
            ("alive", members.alive),
            ("suspect", members.suspect),
            ("down", members.down),
            ("left", members.left),
            ("unknown", members.unknown),
        ] {
            text.sample("distri_members", &[("state", state)], count);
        }
        if let Some(process) = &self.process {
            text.one_counter(
                "process_cpu_seconds_total",
                "CPU time of the process, user and system.",
                Seconds(process.cpu_ms),
            );
            text.one_gauge(
                "process_resident_memory_bytes",
                "Memory of the process that is resident.",
                process.resident,
            );
        }
    }

    fn links(&self, text: &mut Text) {
        let links = &self.links;
        text.one_gauge(
            "distri_links",
            "Links that stand, in either direction.",
            links.open,
        );
        text.one_counter(
            "distri_links_accepted_total",
            "Links that came in.",
            links.accepted,
        );
        text.one_counter(
            "distri_links_refused_total",
            "Links that came in and were turned away.",
            links.refused,
        );
        text.one_counter(
            "distri_links_faulty_total",
            "Links that were closed for what came over them.",
            links.faulty,
        );
        text.one_counter(
            "distri_links_received_bytes_total",
            "Bytes of frames that came over links, before encryption.",
            links.bytes_in,
        );
        text.one_counter(
            "distri_links_sent_bytes_total",
            "Bytes of frames that went over links, before encryption.",
            links.bytes_out,
        );
    }

    fn directory(&self, text: &mut Text) {
        let Some(directory) = &self.directory else {
            return;
        };
        text.one_gauge(
            "distri_directory_term",
            "Term of the consensus.",
            directory.term,
        );
        text.one_gauge(
            "distri_directory_leads",
            "1 if this node leads.",
            u8::from(directory.leads),
        );
        text.one_gauge(
            "distri_directory_has_leader",
            "1 if this node knows who leads.",
            u8::from(directory.leader.is_some()),
        );
        text.one_gauge(
            "distri_directory_last_index",
            "Last entry of the node's log.",
            directory.last_index,
        );
        text.one_gauge(
            "distri_directory_applied_index",
            "Last entry that the node has applied.",
            directory.applied_index,
        );
        text.one_gauge(
            "distri_directory_documents",
            "Documents.",
            directory.documents,
        );
        text.one_gauge(
            "distri_directory_bytes",
            "Bytes of the documents with their ids.",
            directory.bytes,
        );
    }
}

/// Calls of the methods that were called at all: a node has dozens of methods that never are.
fn calls(text: &mut Text, side: &str, methods: &[MethodStats]) {
    let methods: Vec<&MethodStats> = methods
        .iter()
        .filter(|method| method.calls() > 0 || method.in_flight > 0 || !method.refused.is_empty())
        .collect();
    let name = |what: &str| format!("distri_calls_{side}_{what}");
    let doing = if side == "served" {
        "served by the node"
    } else {
        "made by the node itself"
    };

    let seconds = name("seconds");
    let help = format!("How long calls {doing} took, well or not.");
    text.family(&seconds, &help, "histogram");
    for method in &methods {
        text.histogram(&seconds, method);
    }
    let failed = name("failed_total");
    text.counter(&failed, &format!("Calls {doing} that failed, by code."));
    for method in &methods {
        for (code, count) in &method.failed {
            text.sample(&failed, &of(method, Some(("code", code))), count);
        }
    }
    let under_way = name("in_flight");
    text.gauge(&under_way, &format!("Calls {doing} that are under way."));
    for method in &methods {
        text.sample(&under_way, &of(method, None), method.in_flight);
    }
    if side == "made" {
        let retries = name("retries_total");
        text.counter(&retries, "Tries that failed and were followed by another.");
        for method in &methods {
            text.sample(&retries, &of(method, None), method.retries);
        }
        let hedges = name("hedges_total");
        text.counter(&hedges, "Calls of which a second node was asked as well.");
        for method in &methods {
            text.sample(&hedges, &of(method, None), method.hedges);
        }
        return;
    }
    let refused = name("refused_total");
    text.counter(&refused, "Calls that were not begun, by code.");
    for method in &methods {
        for (code, count) in &method.refused {
            text.sample(&refused, &of(method, Some(("code", code))), count);
        }
    }
    let received = name("received_bytes_total");
    text.counter(
        &received,
        "Bytes of arguments with their blobs and streams.",
    );
    for method in &methods {
        text.sample(&received, &of(method, None), method.bytes_in);
    }
    let sent = name("sent_bytes_total");
    text.counter(&sent, "Bytes of results with their blobs and streams.");
    for method in &methods {
        text.sample(&sent, &of(method, None), method.bytes_out);
    }
}

/// The labels of a method.
fn of<'a>(method: &'a MethodStats, more: Option<(&'a str, &'a String)>) -> Vec<(&'a str, &'a str)> {
    let mut labels = vec![
        ("service", method.service.as_str()),
        ("method", method.method.as_str()),
    ];
    labels.extend(more.map(|(name, value)| (name, value.as_str())));
    labels
}

/// Milliseconds, told in seconds.
struct Seconds(u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// Nanoseconds, told in seconds.
struct Nanos(u64);

impl Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:09}",
            self.0 / 1_000_000_000,
            self.0 % 1_000_000_000
        )
    }
}

/// Lines of the format.
#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, help: &str, kind: &str) {
        let text = &mut self.0;
        // Writing to a string does not fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn gauge(&mut self, name: &str, help: &str) {
        self.family(name, help, "gauge");
    }

    fn counter(&mut self, name: &str, help: &str) {
        self.family(name, help, "counter");
    }

    fn one_gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.gauge(name, help);
        self.sample(name, &[], value);
    }

    fn one_counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.counter(name, help);
        self.sample(name, &[], value);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let text = &mut self.0;
        text.push_str(name);
        for (place, (name, value)) in labels.iter().enumerate() {
            text.push(if place == 0 { '{' } else { ',' });
            let _ = write!(text, "{name}=\"");
            value.chars().for_each(|c| match c {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                _ => text.push(c),
            });
            text.push('"');
        }
        if !labels.is_empty() {
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }

    fn histogram(&mut self, name: &str, method: &MethodStats) {
        let latency: &Latency = &method.latency;
        let bucket = format!("{name}_bucket");
        for bits in BOUNDS {
            let nanos = 1_u64 << bits;
            let bound = Nanos(nanos).to_string();
            let count = latency.count_below(std::time::Duration::from_nanos(nanos));
            self.sample(&bucket, &of(method, Some(("le", &bound))), count);
        }
        let count = latency.count();
        self.sample(
            &bucket,
            &of(method, Some(("le", &"+Inf".to_owned()))),
            count,
        );
        self.sample(
            &format!("{name}_sum"),
            &of(method, None),
            Nanos(latency.sum_ns),
        );
        self.sample(&format!("{name}_count"), &of(method, None), count);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// A sample as a parser that knows only the format reads it.
    type Samples = BTreeMap<(String, Vec<(String, String)>), f64>;

    /// Reads the format strictly: every sample follows the HELP and TYPE of its family, families do
    /// not come twice, names and labels are well formed, and no sample comes twice.
    fn parse(text: &str) -> Samples {
        assert!(text.ends_with('\n'));
        let (mut family, mut kind) = (String::new(), String::new());
        let mut families = BTreeSet::new();
        let mut samples = Samples::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                family = help.split_once(' ').unwrap().0.to_owned();
                assert!(families.insert(family.clone()), "{family} twice");
                let declared = lines.next().unwrap();
                let declared = declared.strip_prefix("# TYPE ").unwrap();
                let (name, of_kind) = declared.split_once(' ').unwrap();
                assert_eq!(name, family);
                kind = of_kind.to_owned();
                assert!(kind != "counter" || family.ends_with("_total"), "{family}");
                continue;
            }
            let (head, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = match head.split_once('{') {
                Some((name, labels)) => (name, labels_of(labels)),
                None => (head, Vec::new()),
            };
            let is_plain = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(name.chars().all(is_plain), "{name}");
            let rest = name.strip_prefix(&family).unwrap();
            let rests: &[&str] = match kind.as_str() {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            assert!(rests.contains(&rest), "{name} in {family}");
            let former = samples.insert((name.to_owned(), labels), value.parse().unwrap());
            assert!(former.is_none(), "{line} twice");
        }
        samples
    }

    fn labels_of(text: &str) -> Vec<(String, String)> {
        let mut labels = Vec::new();
        let mut chars = text.chars();
        loop {
            let name: String = chars.by_ref().take_while(|c| *c != '=').collect();
            assert_eq!(chars.next(), Some('"'));
            let mut value = String::new();
            loop {
                match chars.next().unwrap() {
                    '"' => break,
                    '\\' => value.push(match chars.next().unwrap() {
                        'n' => '\n',
                        c @ ('\\' | '"') => c,
                        c => panic!("\\{c}"),
                    }),
                    '\n' => panic!("a line ends within a label"),
                    c => value.push(c),
                }
            }
            labels.push((name, value));
            match chars.next() {
                Some(',') => {}
                Some('}') => return labels,
                other => panic!("{other:?} after a label"),
            }
        }
    }

    fn method(name: &str) -> MethodStats {
        MethodStats {
            service: "worker".to_owned(),
            method: name.to_owned(),
            // 20 durations of 2^20 ns and a bit, 1 of 2^44 ns and more.
            latency: Latency {
                buckets: vec![(144, 20), (527, 1)],
                sum_ns: 21_000_000_123,
                max_ns: 1 << 45,
            },
            failed: BTreeMap::from([("busy".to_owned(), 2), ("internal".to_owned(), 1)]),
            refused: BTreeMap::from([("busy".to_owned(), 5)]),
            bytes_in: 10,
            ..MethodStats::default()
        }
    }

    #[test]
    fn all_that_is_told_can_be_read_back() {
        let stats = NodeStats {
            name: "a\"b\\c\nd".to_owned(),
            uptime_ms: 12_345,
            process: Some(super::super::ProcessStats::default()),
            directory: Some(super::super::DirectoryStats::default()),
            served: vec![method("answer"), method("fail"), MethodStats::default()],
            made: vec![method("answer")],
            ..NodeStats::default()
        };

        let samples = parse(&stats.to_prometheus());

        let value = |name: &str, labels: &[(&str, &str)]| {
            let labels = labels
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
            samples[&(name.to_owned(), labels.collect())]
        };
        let answer = [("service", "worker"), ("method", "answer")];
        let with = |label| [&answer[..], &[label]].concat();
        assert_eq!(value("distri_uptime_seconds", &[]), 12.345);
        let info = [("key", ""), ("name", "a\"b\\c\nd"), ("program", "")];
        assert_eq!(value("distri_node_info", &info), 1.0);
        assert_eq!(
            value("distri_calls_served_failed_total", &with(("code", "busy"))),
            2.0
        );
        assert_eq!(
            value("distri_calls_served_refused_total", &with(("code", "busy"))),
            5.0
        );
        assert_eq!(
            value("distri_calls_served_received_bytes_total", &answer),
            10.0
        );
        assert_eq!(value("distri_calls_made_seconds_count", &answer), 21.0);
        assert_eq!(
            value("distri_calls_served_seconds_sum", &answer),
            21.000_000_123
        );
        for (bound, count) in [("0.001048576", 0.0), ("0.004194304", 20.0), ("+Inf", 21.0)] {
            let found = value("distri_calls_served_seconds_bucket", &with(("le", bound)));
            assert_eq!(found, count, "{bound}");
        }
    }
}
