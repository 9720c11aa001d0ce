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
use super::{
    Cover, Error, HideOptions, Key, Limits, Method, Settings, Size,
    analysis::OVERHEAD,
    bound::Census,
    carriers::{self, Carriers},
    cost::{self, Measure},
    layout::Stream,
    png_file,
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
    /// Sum of their costs.
    pub distortion: f64,
    /// Changes and costs at the least distortion that theory allows for so many bits.
    pub bound_changes: f64,
    /// See above.
    pub bound_distortion: f64,
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
    let cover = Cover::decode(file, &Limits::default())?;
    let carriers = Carriers::count(&cover.picture);
    let length = (carriers as f64 * rate / 8.0 - OVERHEAD as f64).max(0.0) as usize;
    let mut random = Stream::new(&[0x42; 32], seed);
    let mut payload = vec![0; length];
    random.fill(&mut payload);
    let key = Key::from_bytes(random.next_bytes());
    let seed = random.next_bytes();
    let job = super::Job {
        cover: file,
        payload: &payload,
        key: &key,
        options,
        seed: &seed,
        go_on: &|| true,
    };
    let hidden =
        Settings::default().hide_with(&job, &mut |_| std::ops::ControlFlow::Continue(()))?;
    let bits = 8.0 * (length + OVERHEAD) as f64;
    let stego = Cover::decode(&hidden.image, &Limits::default())?;
    let figures = figures(&cover, &stego, bits);
    Ok((hidden.image, hidden.report.method, figures))
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
    let image = png_file::write(&stego.picture, png_file::Compression::Fast);
    let image = image.map_err(|_| Error::SelfCheck {
        what: super::Property::Readable,
    })?;
    Ok((image, figures(&cover, &stego, bits)))
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
