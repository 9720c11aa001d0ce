//! `publish`, `unpublish` and `ls`: what is offered.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use distri::cli::{Failure, Global};
use distri_services::images::{
    cloud::Search,
    media::PreviewKind,
    person::{CatalogEntry, Draft, Gallery, Who},
    record::{Handle, Offer, Visibility},
};
use example_stego_cloud::home::HomeArgs;
use serde_json::json;

use super::{
    here::{Here, failed, note},
    name::{self, Card},
    question::Yes,
    say,
};
use crate::{
    files,
    show::{self, Align, Page, Table},
};

/// What `publish` takes.
#[derive(Args)]
pub(crate) struct PublishArgs {
    /// The picture: PNG, JPEG or WebP, at most 64 MiB
    file: PathBuf,
    /// What others call it [default: the file's name]
    #[arg(long)]
    title: Option<String>,
    /// What everybody sees of it beforehand
    #[arg(long, value_name = "KIND", value_enum, default_value_t = Shown::Blur)]
    preview: Shown,
    /// Leave it out of the list: who is told its id may ask for it [default: listed]
    #[arg(long)]
    unlisted: bool,
    /// Write the preview to a file, to look at it beforehand [default: write none]
    #[arg(long, value_name = "FILE")]
    preview_to: Option<PathBuf>,
    /// Show what would become public, and publish nothing [default: off]
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    yes: Yes,
    #[command(flatten)]
    home: HomeArgs,
}

/// What is seen of a picture beforehand.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shown {
    /// Nothing but the title
    None,
    /// Colours without shapes
    Blur,
    /// A small picture
    Thumbnail,
}

/// What `unpublish` takes.
#[derive(Args)]
pub(crate) struct UnpublishArgs {
    /// The picture: its title or the first letters of its id
    image: String,
    #[command(flatten)]
    home: HomeArgs,
}

/// What `ls` takes.
#[derive(Args)]
pub(crate) struct LsArgs {
    /// Words in the title [default: all]
    text: Option<String>,
    /// Only what this person offers [default: everybody]
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    /// Only your own, those that are not listed too [default: off]
    #[arg(long, conflicts_with_all = ["owner", "after"])]
    mine: bool,
    /// So many on a page, 1 to 100
    #[arg(long, value_name = "COUNT", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    /// Go on where the page before ended, as it says [default: begin]
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    #[command(flatten)]
    home: HomeArgs,
}

/// Pages that are searched for a name at most: all that one person may offer.
const PAGES_MAX: usize = 100;

impl From<Shown> for PreviewKind {
    fn from(shown: Shown) -> Self {
        match shown {
            Shown::None => Self::None,
            Shown::Blur => Self::Blur,
            Shown::Thumbnail => Self::Thumbnail,
        }
    }
}

pub(crate) async fn publish(args: PublishArgs, global: &Global) -> Result<(), Failure> {
    let mut here = Here::at(&args.home, global).await?;
    let visibility = if args.unlisted {
        Visibility::Unlisted
    } else {
        Visibility::Public
    };
    let draft = Draft::of_file(args.file, args.title, args.preview.into(), visibility).await?;
    if let Some(path) = &args.preview_to {
        let preview = draft.offer.preview.file();
        let none = || Failure::usage("there is no preview to write: --preview none");
        files::write(path, preview.ok_or_else(none)?)?;
    }
    let mut public = say::offer_json(&draft.offer);
    if let Some(fields) = public.as_object_mut() {
        let base64 = |file: &[u8]| data_encoding::BASE64.encode(file);
        fields.insert("owner".into(), say::who_json(&here.me));
        fields.insert(
            "preview_file".into(),
            draft.offer.preview.file().map(base64).into(),
        );
    }
    if !here.is_json {
        tell_public(&mut here.page, &draft.offer, &here.me)?;
    }
    if args.dry_run {
        if here.is_json {
            here.page
                .json(&json!({ "published": false, "public": public }))?;
        }
        here.leave().await;
        return Ok(());
    }
    args.yes.or_ask("Publish it?").await?;

    let title = draft.offer.title.clone();
    let image = here
        .person
        .publish(draft)
        .await
        .map_err(failed)?
        .to_string();
    let name = name::of(&here.me, &title, &image);
    if here.is_json {
        here.page.json(&json!({
            "published": true, "image": image, "name": name, "public": public,
        }))?;
    } else {
        let how = match visibility {
            Visibility::Public => format!("request {name}"),
            Visibility::Unlisted => format!("request {}/{image}", here.me.handle),
        };
        here.page.line(&format!("published as {name}"))?;
        let style = here.page.style();
        here.page
            .line(&style.faint(&format!("others ask for it with `{how}`")))?;
    }
    here.leave().await;
    Ok(())
}

/// All that becomes public.
fn tell_public(page: &mut Page, offer: &Offer, me: &Who) -> Result<(), Failure> {
    let size = show::size(offer.width, offer.height);
    let who = match offer.visibility {
        Visibility::Public => "everybody in the cloud",
        Visibility::Unlisted => "those who are told its id",
    };
    let preview = match offer.preview.kind() {
        PreviewKind::None => "none".to_owned(),
        kind => {
            let what = if kind == PreviewKind::Blur {
                "a blur: colours without shapes"
            } else {
                "a small picture, to be looked at as often as one likes"
            };
            let bytes = offer.preview.file().map_or(0, <[u8]>::len);
            format!("{what}, {}", show::bytes(bytes as u64))
        }
    };
    page.line(&format!("This becomes public, for {who}:"))?;
    page.line(&format!("  title    {}", say::title(&offer.title)))?;
    page.line(&format!("  owner    {}", me.handle))?;
    page.line(&format!(
        "  picture  {}, {size}, about {}",
        offer.format,
        show::bytes(offer.bytes)
    ))?;
    page.line(&format!("  preview  {preview}"))?;
    page.line(
        "The picture itself stays here until you approve a request. Whatever else is in the file \
         (places,\ntimes, names, comments) never leaves.",
    )
}

pub(crate) async fn unpublish(args: UnpublishArgs, global: &Global) -> Result<(), Failure> {
    let mut here = Here::at(&args.home, global).await?;
    let own = here.person.own_images().await.map_err(failed)?;
    let entry = name::pick("picture of yours", &args.image, &own, card)?.clone();
    here.person.unpublish(entry.image).await.map_err(failed)?;
    let id = entry.image.to_string();
    if here.is_json {
        here.page
            .json(&json!({ "image": id, "published": false }))?;
    } else {
        let title = say::title(&entry.offer.title);
        here.page.line(&format!("{title} is offered no longer"))?;
        note("what you granted stays granted: `grants` lists it, `revoke` takes it back");
    }
    here.leave().await;
    Ok(())
}

pub(crate) async fn ls(args: LsArgs, global: &Global) -> Result<(), Failure> {
    let mut here = Here::at(&args.home, global).await?;
    let mut gallery = if args.mine {
        Gallery {
            entries: here.person.own_images().await.map_err(failed)?,
            ..Gallery::default()
        }
    } else {
        let owner = match &args.owner {
            Some(user) => Some(somebody(&here, user).await?.key),
            None => None,
        };
        let search = Search {
            owner,
            text: args.text.clone(),
            limit: args.limit,
            cursor: args.after,
        };
        here.person.catalog(search).await.map_err(failed)?
    };
    if let (true, Some(text)) = (args.mine, &args.text) {
        let text = text.to_lowercase();
        gallery
            .entries
            .retain(|entry| entry.offer.title.to_lowercase().contains(&text));
    }
    for lie in &gallery.lies {
        note(&format!("left out: {lie}"));
    }
    tell_gallery(&mut here, &gallery)?;
    here.leave().await;
    Ok(())
}

fn tell_gallery(here: &mut Here, gallery: &Gallery) -> Result<(), Failure> {
    let me = here.me.key;
    if here.is_json {
        let all = gallery.entries.iter();
        let all: Vec<_> = all
            .map(|entry| say::entry_json(entry, entry.owner.key == me))
            .collect();
        return here
            .page
            .json(&json!({ "images": all, "next": gallery.cursor }));
    }
    if gallery.entries.is_empty() {
        return here.page.line("nothing is offered");
    }
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("SIZE", Align::Right),
        ("PREVIEW", Align::Left),
        ("ID", Align::Left),
        ("TITLE", Align::Left),
    ]);
    for entry in &gallery.entries {
        let id = entry.image.to_string();
        let mut preview = format!("{:?}", entry.offer.preview.kind()).to_lowercase();
        if entry.offer.visibility == Visibility::Unlisted {
            preview.push_str(", unlisted");
        }
        table.row([
            name::of(&entry.owner, &entry.offer.title, &id),
            show::size(entry.offer.width, entry.offer.height),
            preview,
            name::short(&id).to_owned(),
            say::title(&entry.offer.title),
        ]);
    }
    here.page.fitted(&table)?;
    if let Some(cursor) = &gallery.cursor {
        note(&format!("there is more: `ls --after {cursor}`"));
    }
    Ok(())
}

/// The person who is called `user`.
pub(crate) async fn somebody(here: &Here, user: &str) -> Result<Who, Failure> {
    if let Ok(key) = user.parse() {
        let handle = here.person.user(key).await.map_err(failed)?.handle;
        return Ok(Who { key, handle });
    }
    let handle = Handle::new(user).map_err(|error| Failure::usage(error.to_string()))?;
    here.person.named(&handle).await.map_err(failed)
}

/// The picture that `text` names, `USER/IMAGE`.
pub(crate) async fn offered(here: &Here, text: &str) -> Result<CatalogEntry, Failure> {
    let (Some(user), rest) = name::parts(text) else {
        let message = format!("`{}` says not whose picture it is", show::tame(text, 80));
        return Err(Failure::usage(message).with_remedy("expected USER/IMAGE, as `ls` prints them"));
    };
    let owner = somebody(here, user).await?;
    if let Ok(image) = rest.parse() {
        // One that is not listed is found by its whole id alone.
        return here.person.offered(owner.key, image).await.map_err(failed);
    }
    // Most names are titles, and the longest word of one finds few pictures.
    let slug = name::slug(rest);
    let word = slug.split('-').max_by_key(|word| word.len());
    if let Some(word) = word.filter(|word| !word.is_empty()) {
        let some = all_of(here, &owner, Some(word.to_owned())).await?;
        let found = name::pick("picture", text, &some, card);
        if let Ok(entry) = found {
            return Ok(entry.clone());
        }
    }
    let all = all_of(here, &owner, None).await?;
    name::pick("picture", text, &all, card).cloned()
}

/// What `owner` offers, with `text` in its title.
async fn all_of(
    here: &Here,
    owner: &Who,
    text: Option<String>,
) -> Result<Vec<CatalogEntry>, Failure> {
    let mut all = Vec::new();
    let mut cursor = None;
    for _ in 0..PAGES_MAX {
        let search = Search {
            owner: Some(owner.key),
            text: text.clone(),
            limit: 100,
            cursor,
        };
        let page = here.person.catalog(search).await.map_err(failed)?;
        all.extend(page.entries);
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    Ok(all)
}

fn card(entry: &CatalogEntry) -> Card {
    Card {
        id: entry.image.to_string(),
        user: entry.owner.clone(),
        title: entry.offer.title.clone(),
        is_open: true,
    }
}
