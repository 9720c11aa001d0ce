//! What an evaluation needs and a service does not: cost maps, and changes drawn at the bound of
//! theory instead of by a code. Not part of the public interface; `examples/stego_lab.rs` offers it
//! on the command line. `stages` and `coding` are the parts of hiding by themselves, for those who time
//! them.

mod coding;
mod coefficients;
mod stages;

pub use self::{
    coding::Coding,
    coefficients::{jpeg_costs, rewrites},
    stages::{Stage, Stages},
};
use std::time::{Duration, Instant};

use super::{
    Cover, Error, HideOptions, Job, Key, Limits, Method, Settings, Size,
    analysis::OVERHEAD,
    bound::Census,
    carriers::{self, Carriers},
    cost::{self, Measure},
    cover::Picture,
    layout::Stream,
    message::{self, Content, Effort, Packed},
    png_chunks::Around,
    png_file,
    png_form::{Form, Manner},
    seal::Deriver,
};

/// The cost of changing each colour sample, in picture order, and the size and samples a pixel.
///
/// # Errors
///
/// Those about image files.
pub fn costs(file: &[u8], across: bool) -> Result<(Size, usize, Vec<f32>), Error> {
    let cover = Cover::decode(file, &Limits::default())?;
    let costs = cost::costs(&cover.picture, measure(across), threads());
    let costs = costs.into_iter().map(cost::value).collect();
    Ok((cover.size(), cover.picture.pixels.colours(), costs))
}

/// Figures of one embedding.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Samples that could change.
    pub carriers: u64,
    /// Bits of the message for each of them.
    pub rate: f64,
    /// Samples that changed.
    pub changes: u64,
    /// Sum of their costs, whatever changes around them.
    pub distortion: f64,
    /// What the body's changes cost when they were decided, which in turns depends on those before, over the
    /// least at the same costs. What the report of a hiding says.
    pub loss: Option<f64>,
    /// Changes and costs at the least distortion that theory allows for so many bits, if none depends on
    /// another.
    pub bound_changes: f64,
    /// See above.
    pub bound_distortion: f64,
}

/// What is hidden for an evaluation: so many random bits for each sample, headers and seals among them.
struct Drawn {
    cover: Cover,
    payload: Vec<u8>,
    bits: f64,
    key: Key,
    seed: [u8; 32],
}

impl Drawn {
    fn new(file: &[u8], rate: f64, seed: u64) -> Result<Self, Error> {
        let cover = Cover::decode(file, &Limits::default())?;
        let carriers = Carriers::count(&cover.picture);
        let length = (carriers as f64 * rate / 8.0 - OVERHEAD as f64).max(0.0) as usize;
        let mut random = Stream::new(&[0x42; 32], seed);
        let mut payload = vec![0; length];
        random.fill(&mut payload);
        Ok(Self {
            cover,
            payload,
            bits: 8.0 * (length + OVERHEAD) as f64,
            key: Key::from_bytes(random.next_bytes()),
            seed: random.next_bytes(),
        })
    }

    fn job<'a>(&'a self, file: &'a [u8], options: &'a HideOptions) -> Job<'a> {
        Job {
            cover: file,
            payload: &self.payload,
            key: &self.key,
            options,
            seed: &self.seed,
            go_on: &|| true,
        }
    }
}

/// Hides so many random bits for each sample, headers and seals among them, as the service does.
///
/// # Errors
///
/// Those of hiding.
pub fn embed(
    file: &[u8],
    rate: f64,
    options: &HideOptions,
    seed: u64,
) -> Result<(Vec<u8>, Method, Figures), Error> {
    let drawn = Drawn::new(file, rate, seed)?;
    let job = drawn.job(file, options);
    let hidden =
        Settings::default().hide_with(&job, &mut |_| std::ops::ControlFlow::Continue(()))?;
    let stego = Cover::decode(&hidden.image, &Limits::default())?;
    let mut figures = figures(&drawn.cover, &stego, drawn.bits);
    figures.loss = hidden.report.loss;
    Ok((hidden.image, hidden.report.method, figures))
}

/// The same, adaptively and with all samples decided at once, as the service does where it cannot decide them
/// in turns, and did before.
///
/// # Errors
///
/// Those of hiding.
pub fn embed_at_once(
    file: &[u8],
    rate: f64,
    options: &HideOptions,
    seed: u64,
) -> Result<(Vec<u8>, Figures), Error> {
    let drawn = Drawn::new(file, rate, seed)?;
    let job = drawn.job(file, options);
    let effort = Effort {
        measure: Measure::default(),
        height: job.height()?,
        in_turns: false,
        threads: threads(),
        go_on: job.go_on,
    };
    let (packed, mut deriver) = (Packed::new(&job, Content::Message), Deriver::new(job.key));
    let picture = &drawn.cover.picture;
    let written = message::write_adaptive(picture, &job, &packed, None, &mut deriver, &effort)?;
    let stego = Cover {
        format: drawn.cover.format,
        picture: written.picture,
    };
    let image = written_plainly(&stego.picture)?;
    let mut figures = figures(&drawn.cover, &stego, drawn.bits);
    figures.loss = written
        .outcome
        .map(|outcome| outcome.distortion / outcome.bound.distortion);
    Ok((image, figures))
}

/// Changes each sample with the probability at which so many bits a sample cost least: what a
/// perfect code would do.
///
/// # Errors
///
/// Those about image files.
pub fn simulate(
    file: &[u8],
    rate: f64,
    across: bool,
    seed: u64,
) -> Result<(Vec<u8>, Figures), Error> {
    let cover = Cover::decode(file, &Limits::default())?;
    let costs = carriers::costs(&cover.picture, measure(across), threads());
    let mut carriers = Carriers::of(&cover.picture);
    let bits = carriers.len() as f64 * rate;
    let census = carriers.census(&costs);
    let lambda = census.solve(bits, |sums| sums.changing + sums.ways);
    let mut random = Stream::new(&[0x43; 32], seed);
    carriers.draw(&costs, lambda, &mut random);
    let stego = Cover {
        format: cover.format,
        picture: carriers.into_picture(&cover.picture),
    };
    let image = written_plainly(&stego.picture)?;
    Ok((image, figures(&cover, &stego, bits)))
}

/// A file of it, with no more than is needed to show it.
fn written_plainly(picture: &Picture) -> Result<Vec<u8>, Error> {
    let image = png_file::write(picture).map_err(|_| Error::SelfCheck {
        what: super::Property::Readable,
    })?;
    Ok(Around::needed(&picture.colour_space).put(image))
}

/// The pixels of the PNG `file` written again, unchanged, as that file was and as this service does it.
///
/// # Errors
///
/// Those about image files; [`Error::NotAnImage`] if it is no PNG whose form can be read.
pub fn rewrite(file: &[u8]) -> Result<Rewritten, Error> {
    let picture = Cover::decode(file, &Limits::default())?.picture;
    let started = Instant::now();
    let manner = Manner::of(file, picture.pixels).ok_or(Error::NotAnImage)?;
    let found = started.elapsed();
    let image = manner.write(&picture);
    let written = started.elapsed() - found;
    let fast = Instant::now();
    let own = written_plainly(&picture)?;
    Ok(Rewritten {
        form: manner.form(),
        found,
        written,
        image,
        own_took: fast.elapsed(),
        own: own.len(),
    })
}

/// What became of a PNG that was written again.
#[derive(Debug)]
pub struct Rewritten {
    /// In what form.
    pub form: Form,
    /// How long it took to find how, and to write.
    pub found: Duration,
    /// See above.
    pub written: Duration,
    /// The file, with nothing around its pixels.
    pub image: Vec<u8>,
    /// How long this service's own form takes, and how many bytes that has.
    pub own_took: Duration,
    /// See above.
    pub own: usize,
}

fn figures(cover: &Cover, stego: &Cover, bits: f64) -> Figures {
    let costs = carriers::costs(&cover.picture, Measure::default(), threads());
    let (before, after) = (Carriers::of(&cover.picture), Carriers::of(&stego.picture));
    let changed = before.differences(&after);
    let census: Census = before.census(&costs);
    let lambda = census.solve(bits, |sums| sums.changing + sums.ways);
    let bound = census.sums(lambda);
    let distortion = changed.iter().map(|i| f64::from(cost::value(costs[*i])));
    Figures {
        carriers: before.len() as u64,
        rate: bits / before.len() as f64,
        changes: changed.len() as u64,
        distortion: distortion.sum(),
        loss: None,
        bound_changes: bound.changes,
        bound_distortion: bound.distortion,
    }
}

fn measure(across: bool) -> Measure {
    if across {
        Measure::Hill
    } else {
        Measure::default()
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}
