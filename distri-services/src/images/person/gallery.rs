//! What is offered, by the person and by others.

use distri::{Error, Result, id::PublicKey, signed::Signed};

use super::{Person, PersonError, Who, kept::OwnImage, letters::randomness, profile::Shelf};
use crate::{
    images::{
        cloud::Search,
        disk, files,
        media::{self, Carried, Prepared, PreviewKind, TITLE_MAX, clean_text, title_of_file},
        record::{Entry, Offer, Visibility},
    },
    permissions::ImageId,
};

/// A picture that is about to be offered: what the person sees before anything is public.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// All that becomes public.
    pub offer: Offer,
    /// What the file carried besides pixels. None of it leaves.
    pub left_out: Vec<Carried>,
    prepared: Prepared,
}

/// Entries of the catalogue.
#[derive(Clone, Debug, Default)]
pub struct Gallery {
    /// The entries, the newest first.
    pub entries: Vec<CatalogEntry>,
    /// With this cursor the search goes on; `None` if all has been found.
    pub cursor: Option<String>,
    /// Entries that a node told and that are forged or older than what is known: they are left out.
    pub lies: Vec<PersonError>,
}

/// An image that somebody offers.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogEntry {
    /// Whose it is.
    pub owner: Who,
    /// Which.
    pub image: ImageId,
    /// What is said of it.
    pub offer: Offer,
}

impl Draft {
    /// What of `file` may be shared, under `title` or, without one, that of `name`. Off the async
    /// threads; pure.
    ///
    /// # Errors
    /// [`media::MediaError`].
    pub fn new(
        file: &[u8],
        name: &str,
        title: Option<&str>,
        preview: PreviewKind,
        visibility: Visibility,
    ) -> Result<Self> {
        let prepared = media::prepare(file, preview)?;
        let title = title.map(|title| clean_text(title, TITLE_MAX));
        let title = title.filter(|title| !title.is_empty());
        let offer = Offer {
            title: title.unwrap_or_else(|| title_of_file(name)),
            format: prepared.format,
            width: prepared.width,
            height: prepared.height,
            bytes: Offer::about(prepared.file.len() as u64),
            preview: prepared.preview.clone(),
            visibility,
        };
        Ok(Self {
            offer,
            left_out: media::carried(file),
            prepared,
        })
    }

    /// As [`Draft::new`], of a file on disk. Devices and pipes are no files.
    ///
    /// # Errors
    /// [`media::MediaError`]; [`distri::Code::FailedPrecondition`] if it cannot be read.
    pub async fn of_file(
        path: std::path::PathBuf,
        title: Option<String>,
        preview: PreviewKind,
        visibility: Visibility,
    ) -> Result<Self> {
        disk(move || {
            let file = files::read(&path, media::FILE_MAX).map_err(super::profile::failed)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Self::new(&file, &name, title.as_deref(), preview, visibility)
        })
        .await?
    }

    /// The file as it would be delivered.
    #[must_use]
    pub fn file(&self) -> &[u8] {
        &self.prepared.file
    }
}

impl Person {
    /// Offers what was drafted. Kept in the profile first; public when the cloud has it.
    ///
    /// # Errors
    /// [`PersonError::NotJoined`]; as any call, and then it is offered when the cloud is back.
    pub async fn publish(&self, draft: Draft) -> Result<ImageId> {
        let _gate = self.inner.gate.lock().await?;
        self.me().await?;
        let profile = &self.inner.profile;
        let image = ImageId::from_array(randomness()?.id());
        let offer = Some(draft.offer);
        let record = Signed::sign(profile.user(), 1, Entry { image, offer })?;
        profile
            .write_file(profile.picture(image), draft.prepared.file)
            .await?;
        let own = OwnImage {
            record,
            sent: false,
        };
        profile.save(Shelf::Images, &image, &own).await?;
        self.send_entry(own).await?;
        Ok(image)
    }

    /// Offers an own image no longer. Grants that were given stay; revoke them one by one.
    ///
    /// # Errors
    /// [`PersonError::NotOffered`]; as any call, and then it is withdrawn when the cloud is back.
    pub async fn unpublish(&self, image: ImageId) -> Result<()> {
        let _gate = self.inner.gate.lock().await?;
        let profile = &self.inner.profile;
        let held = profile.load::<OwnImage>(Shelf::Images, &image).await?;
        let held = held.ok_or_else(|| not_offered(image))?;
        if held.record.unchecked().offer.is_none() && held.sent {
            return Ok(());
        }
        let seq = held.record.seq() + 1;
        let withdrawn = Entry { image, offer: None };
        if !held.sent {
            // The cloud may have it all the same.
            self.send_entry(held).await?;
        }
        let own = OwnImage {
            record: Signed::sign(profile.user(), seq, withdrawn)?,
            sent: false,
        };
        profile.save(Shelf::Images, &image, &own).await?;
        self.send_entry(own).await
    }

    /// The images that the person offers.
    ///
    /// # Errors
    /// When the profile cannot be read.
    pub async fn own_images(&self) -> Result<Vec<CatalogEntry>> {
        let owner = self.me().await?;
        let all: Vec<OwnImage> = self.inner.profile.all(Shelf::Images).await?;
        let offered = all.into_iter().filter_map(|own| {
            let entry = own.record.unchecked();
            Some(CatalogEntry {
                owner: owner.clone(),
                image: entry.image,
                offer: entry.offer.clone()?,
            })
        });
        Ok(offered.collect())
    }

    /// What is offered to everybody. Each record is checked here; what is forged or old is left out
    /// and named.
    ///
    /// # Errors
    /// As any call.
    pub async fn catalog(&self, search: Search) -> Result<Gallery> {
        let page = self.catalog_client().search(search).await?;
        let mut gallery = Gallery {
            cursor: page.cursor,
            ..Gallery::default()
        };
        for record in page.entries {
            match self.checked(&record).await {
                Ok(Some(entry)) => gallery.entries.push(entry),
                Ok(None) => {}
                Err(error) => match error.details() {
                    Some(lie @ PersonError::Lie { .. }) => gallery.lies.push(lie),
                    // Its owner is not known any more.
                    Some(_) => {}
                    None => return Err(error),
                },
            }
        }
        Ok(gallery)
    }

    /// The image `image` of `owner`, as it is offered.
    ///
    /// # Errors
    /// [`PersonError::NotOffered`], [`PersonError::Lie`].
    pub async fn offered(&self, owner: PublicKey, image: ImageId) -> Result<CatalogEntry> {
        let record = self.catalog_client().entry(owner, image).await?;
        let record = record.ok_or_else(|| not_offered(image))?;
        let other = record.key() != owner || record.unchecked().image != image;
        if other {
            let what = format!("another entry for {image}");
            return Err(PersonError::Lie { of: owner, what }.into());
        }
        let entry = self.checked(&record).await?;
        entry.ok_or_else(|| not_offered(image))
    }

    /// The entry of a record that holds; `None` if it is withdrawn.
    async fn checked(&self, record: &Signed<Entry>) -> Result<Option<CatalogEntry>> {
        let owner = record.key();
        let lie = |what: String| PersonError::Lie { of: owner, what };
        let entry = Entry::of(record, owner).map_err(|error| lie(error.to_string()))?;
        let id = format!("{owner}/{}", entry.image);
        if let Some(seen) = self.seen_entry(id, record.seq()) {
            let what = format!(
                "entry {} of {}, and {seen} is known",
                record.seq(),
                entry.image
            );
            return Err(lie(what).into());
        }
        let Some(offer) = entry.offer.clone() else {
            return Ok(None);
        };
        let handle = match self.inner.profile.known_user(owner).await? {
            Some(known) => known.unchecked().handle.clone(),
            None => self.user(owner).await?.handle,
        };
        Ok(Some(CatalogEntry {
            owner: Who { key: owner, handle },
            image: entry.image,
            offer,
        }))
    }

    pub(super) async fn offers(&self, image: ImageId) -> Result<bool> {
        let own = self
            .inner
            .profile
            .load::<OwnImage>(Shelf::Images, &image)
            .await?;
        Ok(own.is_some_and(|own| own.record.unchecked().offer.is_some()))
    }

    pub(super) async fn title_of(&self, image: ImageId) -> Result<String> {
        let own = self
            .inner
            .profile
            .load::<OwnImage>(Shelf::Images, &image)
            .await?;
        let offer = own.and_then(|own| own.record.unchecked().offer.clone());
        Ok(offer.map_or_else(|| "(withdrawn)".to_owned(), |offer| offer.title))
    }

    /// Tells the cloud what it has not been told.
    pub(super) async fn send_entries(&self) -> Result<()> {
        let all: Vec<OwnImage> = self.inner.profile.all(Shelf::Images).await?;
        for own in all.into_iter().filter(|own| !own.sent) {
            self.send_entry(own).await?;
        }
        Ok(())
    }

    async fn send_entry(&self, mut own: OwnImage) -> Result<()> {
        self.catalog_client().publish(own.record.clone()).await?;
        own.sent = true;
        let image = own.record.unchecked().image;
        self.inner.profile.save(Shelf::Images, &image, &own).await
    }
}

fn not_offered(image: ImageId) -> Error {
    let image = image.to_string();
    PersonError::NotOffered { image }.into()
}
