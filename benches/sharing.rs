//! From the wish to see a picture to the picture, step by step; and a peer among ten thousand offers: its
//! memory, and the time to a first page. Three nodes on disk in a process of their own, people in others,
//! all on loopback.
//!
//! ```text
//! cargo bench --manifest-path benches/Cargo.toml --no-default-features --features sharing --bench sharing
//! … --bench sharing -- 20 10000     # rounds, offers
//! ```
//!
//! The times of the steps are medians over rounds, each with a request of its own for one picture of
//! 1280 × 960 pixels, hidden in a drawn cover. What is part of a step is timed once more by itself, on the
//! same bytes.

use std::{
    io::{BufRead, BufReader, Cursor, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use distri::{Client, Config, Node, peer::Peer, transport::Address, transport::Endpoint};
use distri_services::{
    images::{
        cloud::Search,
        delivery::ImageDelivery,
        media::{Picture, PreviewKind},
        person::{Answer, Draft, Person, Profile, ProfileShelf, Terms, View},
        record::{Handle, Visibility},
    },
    stego::{HideOptions, JpegPast, Key, Settings},
};
use image::{ImageFormat, Rgb, RgbImage};

/// How long one step may take at most.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        // Cargo adds it.
        .filter(|argument| argument != "--bench")
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["cloud", folder] => runtime.block_on(cloud(Path::new(folder))),
        ["crowd", folder, nodes, offers] => runtime.block_on(crowd(
            Path::new(folder),
            endpoints(nodes),
            offers.parse().expect("a number"),
        )),
        numbers => {
            let number = |at: usize, usual: usize| {
                let text = numbers.get(at);
                text.map_or(usual, |text| text.parse().expect("ROUNDS OFFERS"))
            };
            runtime.block_on(measure(number(0, 20).max(1), number(1, 10_000)));
        }
    }
}

async fn measure(rounds: usize, offers: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let (nodes, mut cloud) = started(&["cloud", text(&folder.path().join("cloud"))]);
    steps(folder.path(), endpoints(&nodes), rounds).await;
    if offers > 0 {
        let at = folder.path().join("crowd");
        let (report, mut crowd) = started(&["crowd", text(&at), &nodes, &offers.to_string()]);
        println!("\n{}", report.replace('|', "\n"));
        end(&mut crowd);
    }
    end(&mut cloud);
}

/// Another process of this program, and its first line.
fn started(arguments: &[&str]) -> (String, Child) {
    let this = std::env::current_exe().expect("this program");
    let mut child = Command::new(this)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    let output = child.stdout.take().expect("it is piped");
    BufReader::new(output)
        .read_line(&mut line)
        .expect("a line is read");
    assert!(!line.is_empty(), "{arguments:?} failed");
    (line.trim_end().to_owned(), child)
}

/// Its input ends, and so does it.
fn end(child: &mut Child) {
    drop(child.stdin.take());
    child.wait().expect("it ends");
}

/// Waits until whoever started this process wants it to end.
async fn wait_for_the_end() {
    let read = || std::io::stdin().read_line(&mut String::new());
    let _ = tokio::task::spawn_blocking(read).await;
}

fn text(path: &Path) -> &str {
    path.to_str().expect("it is text")
}

fn endpoints(text: &str) -> Vec<Endpoint> {
    let all = text
        .split(',')
        .map(|one| one.parse().expect("KEY@HOST:PORT"));
    all.collect()
}

/// Three nodes, until the input ends.
async fn cloud(folder: &Path) {
    let prepared = |name: &str| {
        let home = folder.join(name);
        std::fs::create_dir_all(&home).expect("a folder");
        let mut config = Config::default();
        config.node.identity = home.join("node.key");
        config.node.listen = Address::new("127.0.0.1:0");
        config.directory.path = Some(home.join("data"));
        Node::builder().config(config)
    };
    let one = prepared("one").found().start().await.expect("a node");
    let mut nodes = vec![one.clone()];
    for name in ["two", "three"] {
        let valid = Duration::from_secs(600);
        let token = one.client().join_token(valid).await.expect("a token");
        nodes.push(prepared(name).join(token).start().await.expect("a node"));
    }
    let all: Vec<String> = nodes
        .iter()
        .map(|node| node.endpoint().to_string())
        .collect();
    println!("{}", all.join(","));
    std::io::stdout().flush().expect("it is read");
    wait_for_the_end().await;
}

/// A person with a peer.
struct Someone {
    person: Person,
    _peer: Peer,
}

impl Someone {
    async fn joined(folder: PathBuf, nodes: &[Endpoint], handle: &str) -> Self {
        let profile = Profile::open(&folder).await.expect("a profile");
        let mut config = Config::default();
        config.peer.listen = Address::new("127.0.0.1:0");
        config.cloud.nodes = nodes.to_vec();
        let peer = Peer::builder()
            .config(config)
            .identity(profile.device().clone())
            .without_registry()
            .service(ImageDelivery::new(ProfileShelf::new(profile.clone())))
            .start()
            .await
            .expect("a peer");
        peer.wait_announced().await.expect("the cloud takes it");
        let client: Client = peer.client().clone();
        let person = Person::new(profile, client);
        let handle = Handle::new(handle).expect("a handle");
        // The services of the cloud may still be starting.
        let began = Instant::now();
        while let Err(error) = person.join(&handle).await {
            assert!(began.elapsed() < PATIENCE, "{error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Self {
            person,
            _peer: peer,
        }
    }
}

/// Adds the time of `step` to the row of that name.
struct Rows(Vec<(&'static str, Vec<Duration>)>);

impl Rows {
    fn add(&mut self, name: &'static str, took: Duration) {
        match self.0.iter_mut().find(|(row, _)| *row == name) {
            Some((_, times)) => times.push(took),
            None => self.0.push((name, vec![took])),
        }
    }

    async fn time<R>(&mut self, name: &'static str, step: impl Future<Output = R>) -> R {
        let began = Instant::now();
        let result = tokio::time::timeout(PATIENCE, step).await;
        self.add(name, began.elapsed());
        result.unwrap_or_else(|_| panic!("{name} took longer than {PATIENCE:?}"))
    }
}

async fn steps(folder: &Path, nodes: Vec<Endpoint>, rounds: usize) {
    let owner = Someone::joined(folder.join("anna"), &nodes, "anna").await;
    let viewer = Someone::joined(folder.join("bob"), &nodes, "bob").await;
    let (anna, bob) = (&owner.person, &viewer.person);
    let draft = drafted(1280, 960);
    let size = draft.file().len();
    let file = draft.file().to_vec();
    let image = anna.publish(draft).await.expect("it is offered");
    let mut rows = Rows(Vec::new());
    for round in 0..rounds {
        let began = Instant::now();
        let asks = bob.request(anna.key(), image, 1, "");
        let request = rows.time("request", asks).await.expect("it is sent");
        let reads = anna.settle();
        rows.time("the owner reads it", reads)
            .await
            .expect("it is read");
        let answer = Answer::Approve {
            terms: Terms {
                views: 1,
                expires_ms: u64::MAX,
            },
            cover: None,
        };
        let decides = anna.decide(request, answer);
        rows.time("decide: hide, grant, tell", decides)
            .await
            .expect("it is granted");
        let reads = bob.settle();
        rows.time("the viewer reads it", reads)
            .await
            .expect("it is read");
        let mut heard = |_| {};
        let fetches = bob.fetch(request, &mut heard);
        rows.time("deliver", fetches)
            .await
            .expect("it is delivered");
        let looks = bob.view(request, "look");
        let view = rows
            .time("view: redeem, reveal, decode", looks)
            .await
            .expect("it is released");
        rows.add("all", began.elapsed());
        let View::Shown(seen) = view else {
            panic!("no view in round {round}")
        };
        assert_eq!(seen.file.len(), size);
        bob.looked(request).await.expect("it is closed");
    }
    parts(&mut rows, &file, rounds);
    println!("| {rounds} rounds, a picture of {size} bytes | median, ms | least | greatest |");
    println!("|---|---|---|---|");
    for (name, mut times) in rows.0 {
        times.sort_unstable();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let (median, least) = (ms(times[times.len() / 2]), ms(times[0]));
        let greatest = ms(times[times.len() - 1]);
        println!("| {name} | {median:.1} | {least:.1} | {greatest:.1} |");
    }
}

/// What a decision and a view do besides talking, by itself.
fn parts(rows: &mut Rows, file: &[u8], rounds: usize) {
    // A file of the same size that is as hard to hide as a sealed one, in a cover as large as the one
    // drawn for it.
    let payload: Vec<u8> = (0..file.len() + 64)
        .scan(1_u32, |state, _| {
            *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Some((*state >> 24) as u8)
        })
        .collect();
    let cover = noise(1600, 1200);
    let options = HideOptions {
        scale_cover: true,
        jpeg: JpegPast::Keep,
        uncompressed: true,
        ..HideOptions::default()
    };
    let key = Key::from_bytes([7; 32]);
    for _ in 0..rounds {
        let began = Instant::now();
        let hidden = Settings::default()
            .hide(&cover, &payload, &key, &options)
            .expect("it is hidden");
        rows.add("of it, hide (in noise of 1600 × 1200)", began.elapsed());
        let began = Instant::now();
        Settings::default()
            .reveal(&hidden.image, &key)
            .expect("it is found");
        rows.add("of it, reveal", began.elapsed());
        let began = Instant::now();
        Picture::decode(file).expect("it is an image");
        rows.add("of it, decode", began.elapsed());
    }
}

/// One who offers many pictures, and looks through all that is offered.
async fn crowd(folder: &Path, nodes: Vec<Endpoint>, offers: usize) {
    let someone = Someone::joined(folder.to_path_buf(), &nodes, "carol").await;
    let person = &someone.person;
    let mut lines = Vec::new();
    let mut memory = vec![resident()];
    let began = Instant::now();
    for n in 0..offers {
        let mut draft = drafted(32, 24);
        draft.offer.title = format!("picture {n}");
        person.publish(draft).await.expect("it is offered");
    }
    lines.push(format!(
        "{offers} offers were made in {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    memory.push(resident());
    let mut firsts = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        let page = person.catalog(Search::default()).await.expect("a page");
        firsts.push(began.elapsed());
        assert_eq!(page.entries.len(), 24.min(offers));
    }
    firsts.sort_unstable();
    lines.push(format!(
        "the first page of 24: median {:.1} ms, greatest {:.1} ms",
        firsts[firsts.len() / 2].as_secs_f64() * 1e3,
        firsts[firsts.len() - 1].as_secs_f64() * 1e3
    ));
    memory.push(resident());
    let began = Instant::now();
    let mut search = Search {
        limit: 100,
        ..Search::default()
    };
    let mut seen = 0;
    loop {
        let page = person.catalog(search.clone()).await.expect("a page");
        seen += page.entries.len();
        search.cursor = page.cursor;
        if search.cursor.is_none() {
            break;
        }
    }
    lines.push(format!(
        "all {seen} in pages of 100: {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    memory.push(resident());
    let mib: Vec<String> = memory
        .iter()
        .map(|kib| format!("{:.1}", *kib as f64 / 1024.0))
        .collect();
    lines.push(format!(
        "resident, MiB: {} joined, {} with all offered, {} after the first pages, {} after all",
        mib[0], mib[1], mib[2], mib[3]
    ));
    println!("{}", lines.join("|"));
    std::io::stdout().flush().expect("it is read");
    wait_for_the_end().await;
}

/// KiB of memory that this process has, where the system tells.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// A picture with some structure, as it would be offered.
fn drafted(width: u32, height: u32) -> Draft {
    let picture = RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x / 5) as u8, (y / 4) as u8, ((x + y) / 9) as u8])
    });
    Draft::new(
        &png(&picture),
        "picture.png",
        None,
        PreviewKind::Blur,
        Visibility::Public,
    )
    .expect("it can be offered")
}

fn noise(width: u32, height: u32) -> Vec<u8> {
    let mut grain = 1_u32;
    png(&RgbImage::from_fn(width, height, |x, y| {
        grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let speck = (grain >> 28) as u8;
        Rgb([
            90 + speck + (x / 32) as u8,
            120 + speck,
            60 + speck + (y / 16) as u8,
        ])
    }))
}

fn png(picture: &RgbImage) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture
        .write_to(&mut file, ImageFormat::Png)
        .expect("it is written");
    file.into_inner()
}
