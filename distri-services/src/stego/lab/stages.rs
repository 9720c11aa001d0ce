//! What hiding consists of, each part by itself, so that its share can be told.

use super::super::{
    Cover, Error, Job, Key, Limits, Property,
    analysis::Look,
    carriers,
    cost::{Cost, Measure},
    decode, jpeg_past,
    message::{self, Content, Effort, Packed},
    png_chunks::Around,
    png_file::{self, Compression},
    seal::{self, ADAPTIVE, Deriver},
};

/// A part of hiding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reading the cover's file.
    Read,
    /// Looking for traces of JPEG.
    Past,
    /// Looking how rough it is.
    Look,
    /// Pricing each sample.
    Costs,
    /// Dealing samples to segments, in keyed order.
    Order,
    /// AES-256-GCM over label and payload.
    Seal,
    /// All of embedding but the costs: order, seal, trellis, directions, headers.
    Embed,
    /// Writing the PNG.
    Write,
    /// Reading the PNG back.
    Reread,
    /// Taking the message out of its pixels.
    Extract,
}

impl Stage {
    /// All of them, in the order in which they happen.
    pub const ALL: [Self; 10] = [
        Self::Read,
        Self::Past,
        Self::Look,
        Self::Costs,
        Self::Order,
        Self::Seal,
        Self::Embed,
        Self::Write,
        Self::Reread,
        Self::Extract,
    ];
}

/// One adaptive hiding, ready to have its parts done again and again.
#[derive(Debug)]
pub struct Stages<'a> {
    job: Job<'a>,
    threads: usize,
    cover: Cover,
    costs: Vec<Cost>,
    stego: Cover,
    file: Vec<u8>,
}

impl<'a> Stages<'a> {
    /// Does all of `job` once, on so many threads.
    ///
    /// # Errors
    ///
    /// Those of hiding.
    pub fn new(job: Job<'a>, threads: usize) -> Result<Self, Error> {
        let cover = Cover::decode(job.cover, &Limits::default())?;
        let costs = carriers::costs(&cover.picture, Measure::default(), threads);
        let mut stages = Self {
            stego: cover.clone(),
            file: Vec::new(),
            job,
            threads,
            cover,
            costs,
        };
        stages.stego.picture = stages.embed()?;
        stages.file = stages.write()?;
        Ok(stages)
    }

    /// Does one part, and gives a number that depends on its result.
    ///
    /// # Errors
    ///
    /// Those of hiding and revealing.
    pub fn run(&self, stage: Stage) -> Result<usize, Error> {
        let picture = &self.cover.picture;
        Ok(match stage {
            Stage::Read => Cover::decode(self.job.cover, &Limits::default())?
                .picture
                .data
                .len(),
            Stage::Past => usize::from(jpeg_past::traces(picture).is_some()),
            Stage::Look => Look::at(picture, self.threads, true).rough as usize,
            Stage::Costs => carriers::costs(picture, Measure::default(), self.threads).len(),
            Stage::Order => {
                message::deal(picture, self.sealed_bits(), &[7; 32]).ok_or(Error::Transparent)?
            }
            Stage::Seal => self.sealed().len(),
            Stage::Embed => self.embed()?.data.len(),
            Stage::Write => self.write()?.len(),
            Stage::Reread => decode::decode(
                &self.file,
                super::super::Format::Png,
                decode::Orient::AsStored,
                &Limits::default(),
            )?
            .data
            .len(),
            Stage::Extract => {
                let mut deriver = Deriver::new(self.job.key);
                let limits = Limits::default();
                let stego = &self.stego.picture;
                message::reveal(stego, None, &mut deriver, &limits, self.threads)?
                    .revealed
                    .payload
                    .len()
            }
        })
    }

    fn sealed(&self) -> Vec<u8> {
        let keys = Deriver::new(&Key::from_bytes([1; 32])).body(ADAPTIVE, &[2; 16]);
        let context = self.cover.picture.context();
        seal::seal_body(ADAPTIVE, &[], self.job.payload, &keys, context)
    }

    fn sealed_bits(&self) -> usize {
        8 * (self.job.payload.len() + seal::BODY_OVERHEAD)
    }

    fn embed(&self) -> Result<super::super::cover::Picture, Error> {
        let effort = Effort {
            measure: Measure::default(),
            height: self.job.height()?,
            in_turns: true,
            threads: self.threads,
            go_on: self.job.go_on,
        };
        let mut deriver = Deriver::new(self.job.key);
        let packed = Packed::new(&self.job, Content::Message);
        let (cover, job) = (&self.cover.picture, &self.job);
        let mut costs = self.costs.clone();
        let decided = message::decide(cover, &mut costs, job, &packed, &deriver, &effort)?;
        let written = decided.write(cover, &packed, None, &mut deriver)?;
        Ok(written.picture)
    }

    fn write(&self) -> Result<Vec<u8>, Error> {
        let picture = &self.stego.picture;
        let around = Around::needed(&picture.colour_space);
        let written = png_file::write(picture, Compression::Fast, &around);
        written.map_err(|_| Error::SelfCheck {
            what: Property::Readable,
        })
    }
}
