//! The demonstration: three nodes, one photograph hidden and revealed, then many at a time while
//! the busiest node is cut off. It tells what happened, checks it, and fails if anything differs.

use std::{
    env,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Args;
use distri::{
    Error,
    cli::{Exit, Failure, Global},
    id::PublicKey,
};
use distri_services::stego::{Capacity, HideOptions};

use crate::{
    batch::{Batch, Outcome, Turn},
    cloud::{Cloud, CutOff},
    files, key, photographs,
    photographs::Photograph,
    progress::Progress,
    show::{self, Align, Page, Table},
    tally::{Pieces, Tally},
    work::{Done, Found, Secret, Stego, StegoImage},
};

/// What the demonstration takes.
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Folder for the pictures of the demonstration [default: out/stego-cloud]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

const OUT: &str = "out/stego-cloud";

const NODES: [&str; 3] = ["aspen", "birch", "cedar"];

/// So many clients keep every node busy, and more than one call on each when it is cut off.
const CLIENTS: usize = 6;

/// How many photographs each client brings: enough to see how the work is shared, few enough for
/// seconds.
const IMAGES: u32 = 8;

/// Longer than any start takes on a busy machine.
const START: Duration = Duration::from_secs(20);

/// Room for the bars in the table of nodes.
const BAR: usize = 14;

impl DemoArgs {
    /// The flag that was given, if one was.
    pub(crate) fn flag_given(&self) -> Option<&'static str> {
        self.out.as_ref().map(|_| "--out")
    }
}

/// Refuses flags that would be dropped in silence: whoever gives them has left out a command.
fn refuse_flags_of_commands(global: &Global) -> Result<(), Failure> {
    let flags = [
        ("--node", !global.node.is_empty()),
        ("--set", !global.set.is_empty()),
        ("--json", global.json),
    ];
    match flags.into_iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(Failure::usage(format!(
            "{flag} belongs to a command: the demonstration has a cloud of its own"
        ))),
        None => Ok(()),
    }
}

pub(crate) async fn run(args: DemoArgs, global: &Global) -> Result<(), Failure> {
    refuse_flags_of_commands(global)?;
    if global.verbose > 0 || global.log.is_some() {
        global.start_log(&global.load()?)?;
    }
    let out = args.out.unwrap_or_else(|| OUT.into());
    files::make_folder(&out)?;
    let began = Instant::now();
    let mut cloud = Cloud::start(&NODES).await?;
    let mut story = Story::begin(&cloud).await?;

    story.introduce(&cloud)?;
    story.one_photograph(&out).await?;
    story.many_photographs(&mut cloud).await?;
    let Story { page, stego, .. } = story;
    drop(stego);
    cloud.stop().await;
    conclude(page, &out, began.elapsed())
}

/// The demonstration under way.
struct Story {
    page: Page,
    stego: Stego,
    cover: Photograph,
    photograph: Photograph,
}

impl Story {
    async fn begin(cloud: &Cloud) -> Result<Self, Failure> {
        let client = cloud.client().await.map_err(failed)?;
        client
            .wait_for_nodes(NODES.len(), START)
            .await
            .map_err(failed)?;
        Ok(Self {
            page: Page::stdout(),
            stego: Stego::new(&client),
            cover: photographs::cover(),
            photograph: photographs::secret(),
        })
    }

    fn introduce(&mut self, cloud: &Cloud) -> Result<(), Failure> {
        self.title("A cloud of three nodes, linked over TCP and TLS 1.3")?;
        let mut table = Table::new(&[
            ("node", Align::Left),
            ("address", Align::Left),
            ("key", Align::Left),
        ]);
        for node in cloud.nodes() {
            table.row([
                node.name().to_owned(),
                node.address().to_string(),
                node.key().short(),
            ]);
        }
        self.page.table(&table)
    }

    async fn one_photograph(&mut self, out: &Path) -> Result<(), Failure> {
        self.title("A photograph is hidden in another, and comes back")?;
        let room = self
            .stego
            .capacity(&self.cover.bytes)
            .await
            .map_err(failed)?
            .value;
        let shape = self
            .stego
            .capacity(&self.photograph.bytes)
            .await
            .map_err(failed)?
            .value;
        self.tell_pictures(&room, &shape)?;

        let (key, digits) = key::random()?;
        let (cover, payload) = (self.cover.bytes.clone(), self.photograph.bytes.clone());
        let secret = Secret {
            cover,
            payload,
            key,
            options: HideOptions::default(),
        };
        let hidden = self.stego.hide(&secret).await.map_err(failed)?;
        let found = self
            .stego
            .reveal(&hidden.value.file, &secret.key)
            .await
            .map_err(failed)?;

        files::write(&out.join("cover.png"), &self.cover.bytes)?;
        files::write(&out.join("stego.png"), &hidden.value.file)?;
        files::write(&out.join("recovered.jpg"), &found.value.payload)?;
        files::remove(&out.join("key.hex"))?;
        files::write_secret(&out.join("key.hex"), &format!("{}\n", digits.as_str()))?;
        if found.value.payload != secret.payload {
            return Err(wrong(
                "the recovered photograph differs from the one that was hidden",
            ));
        }
        self.tell_work(&hidden, &found)
    }

    fn tell_pictures(&mut self, cover: &Capacity, photograph: &Capacity) -> Result<(), Failure> {
        let mut table = Table::new(&[
            ("picture", Align::Left),
            ("size", Align::Left),
            ("", Align::Left),
            ("bytes", Align::Right),
            ("", Align::Left),
        ]);
        let room = match cover.payload {
            Some(room) => format!("the cover: room for {}", show::bytes(room)),
            None => "the cover: no room".to_owned(),
        };
        for (picture, capacity, role) in [
            (&self.photograph, photograph, "the photograph".to_owned()),
            (&self.cover, cover, room),
        ] {
            table.row([
                picture.name.to_owned(),
                show::size(capacity.size.width, capacity.size.height),
                capacity.format.to_string(),
                show::count(picture.bytes.len() as u64),
                role,
            ]);
        }
        self.page.table(&table)?;
        self.page.line("")
    }

    fn tell_work(&mut self, hidden: &Done<StegoImage>, found: &Done<Found>) -> Result<(), Failure> {
        let mut table = Table::new(&[
            ("work", Align::Left),
            ("node", Align::Left),
            ("time", Align::Right),
            ("result", Align::Left),
        ]);
        table.row([
            "hide".to_owned(),
            self.stego.name_of(hidden.node),
            show::time(hidden.took),
            format!("stego.png, {}", show::bytes(hidden.value.file.len() as u64)),
        ]);
        table.row([
            "reveal".to_owned(),
            self.stego.name_of(found.node),
            show::time(found.took),
            format!(
                "recovered.jpg, {}, equal to the original",
                show::bytes(found.value.payload.len() as u64)
            ),
        ]);
        self.page.table(&table)?;
        let report = &hidden.value.report;
        self.page.line("")?;
        self.page.line(&format!(
            "  {} of {} colour values differ from the cover, each by 1.",
            show::count(report.changed),
            show::count(report.carriers),
        ))?;
        let psnr = self.page.style().strong(&show::decibels(report.psnr));
        self.page.line(&format!(
            "  PSNR {psnr}; eyes see no difference from about 40 dB on."
        ))
    }

    async fn many_photographs(&mut self, cloud: &mut Cloud) -> Result<(), Failure> {
        let names: Vec<_> = cloud
            .nodes()
            .iter()
            .map(|node| (node.key(), node.name().to_owned()))
            .collect();
        let batch = Batch {
            clients: vec![self.stego.clone(); CLIENTS],
            images: IMAGES,
            cover: self.cover.bytes.clone(),
            payload: self.photograph.bytes.clone(),
            options: HideOptions {
                label: b"a cat".to_vec(),
                ..HideOptions::default()
            },
            album: None,
            turn: Turn::default(),
        };
        let images = CLIENTS as u64 * u64::from(IMAGES);
        self.title(&format!(
            "{images} photographs, {CLIENTS} at a time; halfway, a node is cut off"
        ))?;
        let (outcome, cut) = run_and_cut(batch, cloud).await?;
        let cut = cut.ok_or_else(|| wrong("the batch ended before a node was cut off"))?;
        let tally = Tally::of(&outcome.records);
        self.tell_nodes(&tally, &names, &cut)?;
        self.tell_times(&tally)?;
        self.tell_verdict(&tally, &outcome, &cut, images)
    }

    fn tell_nodes(
        &mut self,
        tally: &Tally,
        names: &[(PublicKey, String)],
        cut: &CutOff,
    ) -> Result<(), Failure> {
        let mut table = Table::new(&[
            ("node", Align::Left),
            ("begun before", Align::Right),
            ("", Align::Right),
            ("", Align::Left),
            ("begun after", Align::Right),
            ("", Align::Right),
            ("", Align::Left),
        ]);
        let whole = tally.sides();
        let most = tally
            .nodes
            .values()
            .flatten()
            .copied()
            .max()
            .unwrap_or_default();
        for (key, name) in names {
            let done = tally.nodes.get(key).copied().unwrap_or_default();
            let is_cut = *key == cut.key && done[1] == 0;
            table.row([
                name.clone(),
                show::count(done[0]),
                show::percent(done[0], whole[0]),
                format!("{:<BAR$}", show::bar(done[0], most, BAR)),
                if is_cut {
                    "-".to_owned()
                } else {
                    show::count(done[1])
                },
                if is_cut {
                    String::new()
                } else {
                    show::percent(done[1], whole[1])
                },
                if is_cut {
                    "cut off".to_owned()
                } else {
                    show::bar(done[1], most, BAR)
                },
            ]);
        }
        self.page.table(&table)?;
        self.page.line("")
    }

    fn tell_times(&mut self, tally: &Tally) -> Result<(), Failure> {
        let mut table = Table::new(&[
            ("work", Align::Left),
            ("calls", Align::Right),
            ("failed", Align::Right),
            ("made again", Align::Right),
            ("median", Align::Right),
            ("slowest", Align::Right),
        ]);
        for (work, pieces) in [("hide", &tally.hide), ("reveal", &tally.reveal)] {
            table.row([
                work.to_owned(),
                show::count(pieces.calls()),
                show::count(pieces.failed),
                show::count(pieces.rescued),
                percentile(pieces, 50),
                percentile(pieces, 100),
            ]);
        }
        self.page.table(&table)?;
        self.page.line("")
    }

    fn tell_verdict(
        &mut self,
        tally: &Tally,
        outcome: &Outcome,
        cut: &CutOff,
        images: u64,
    ) -> Result<(), Failure> {
        let style = self.page.style();
        let rescued = tally.hide.rescued + tally.reveal.rescued;
        self.page.line(&format!(
            "  {} was serving {} call{} when it was cut off; {rescued} {} made again elsewhere.",
            style.strong(&cut.name),
            cut.in_flight,
            show::plural(cut.in_flight.into()),
            if rescued == 1 { "was" } else { "were" },
        ))?;
        if tally.failed() > 0 || tally.images() != images {
            let verdict = format!("{} of {} calls failed", tally.failed(), 2 * images);
            self.page.line(&format!("  {}", style.bad(&verdict)))?;
            for (problem, count) in &tally.problems {
                self.page.line(&format!("  {count} × {problem}"))?;
            }
            return Err(wrong(&verdict));
        }
        let verdict = format!("All {} calls succeeded", tally.done());
        self.page.line(&format!(
            "  {} in {}, and all {images} photographs came back equal.",
            style.good(&verdict),
            show::time(outcome.took),
        ))
    }

    fn title(&mut self, text: &str) -> Result<(), Failure> {
        let text = self.page.style().strong(text);
        self.page.line("")?;
        self.page.line(&text)?;
        self.page.line("")
    }
}

/// Runs `batch`, and cuts off the busiest node once half of the work is done.
async fn run_and_cut(
    batch: Batch,
    cloud: &mut Cloud,
) -> Result<(Outcome, Option<CutOff>), Failure> {
    let (whole, turn) = (batch.pieces(), batch.turn.clone());
    let mut progress = Progress::bar();
    let (mut done, mut cut) = (0, None);
    let mut note = format!("of {whole} calls");
    progress.show(0, whole, &note);
    let outcome = batch
        .run(|_| {
            done += 1;
            if done * 2 >= whole && cut.is_none() {
                cut = cloud.cut_busiest();
                turn.happen();
                if let Some(cut) = &cut {
                    note = format!("of {whole} calls; {} is gone", cut.name);
                }
            }
            progress.show(done, whole, &note);
        })
        .await;
    progress.clear();
    Ok((outcome?, cut))
}

fn conclude(mut page: Page, out: &Path, took: Duration) -> Result<(), Failure> {
    let style = page.style();
    let folder = show::tame(&out.display().to_string(), 60);
    page.line("")?;
    page.line(&style.strong(&format!("Pictures in {folder}")))?;
    page.line("")?;
    for (name, what) in [
        ("cover.png", "a cup of coffee"),
        ("stego.png", "the same to the eye, with a cat in it"),
        ("recovered.jpg", "the cat, out of stego.png"),
        ("key.hex", "the key that opens stego.png"),
    ] {
        page.line(&format!("  {name:<15}{}", style.faint(what)))?;
    }
    page.line("")?;
    page.line(&style.strong("What to try next"))?;
    page.line("")?;
    let program = program();
    for (arguments, what) in [
        ("--help", "what else there is"),
        (
            "new-cloud my-cloud",
            "three nodes of their own: writes my-cloud, says how to start them",
        ),
        ("load --config my-cloud/client.toml", "measures them"),
    ] {
        page.line(&format!("  {}", style.faint(&format!("# {what}"))))?;
        page.line(&format!("  {program} {arguments}"))?;
    }
    page.line("")?;
    page.line(&style.faint(&format!("Done in {}.", show::time(took))))
}

/// The program as it was called, for commands to type next.
fn program() -> String {
    if env::var_os("CARGO_PKG_NAME").is_some_and(|name| name == env!("CARGO_PKG_NAME")) {
        return format!("cargo run -p {} --", env!("CARGO_PKG_NAME"));
    }
    let name = env::args_os()
        .next()
        .unwrap_or_else(|| env!("CARGO_BIN_NAME").into());
    name.to_string_lossy().into_owned()
}

fn percentile(pieces: &Pieces, percent: usize) -> String {
    pieces
        .percentile(percent)
        .map_or_else(|| "-".to_owned(), show::time)
}

/// A call that fails ends the demonstration, whatever it would mean for another command.
fn failed(error: Error) -> Failure {
    Failure::new(Exit::Failed, error)
}

fn wrong(what: &str) -> Failure {
    Failure::new(Exit::Failed, what.to_owned())
}
