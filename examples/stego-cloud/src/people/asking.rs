//! `request` and `fetch`: asking for somebody's picture, and having it here.

use clap::Args;
use distri::cli::{Failure, Global};
use distri_services::images::{
    person::{GrantSide, State},
    record::VIEWS_MAX,
};
use example_stego_cloud::home::HomeArgs;
use serde_json::json;

use super::{
    here::{Here, failed, note, refuse},
    name, offer, say,
};
use crate::show;

/// What `request` takes.
#[derive(Args)]
pub(crate) struct RequestArgs {
    /// Whose picture, and which: USER/IMAGE, as `ls` prints them
    #[arg(value_name = "USER/IMAGE")]
    image: String,
    /// How often you want to look
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(VIEWS_MAX)))]
    views: u32,
    /// A word to the owner, sealed to them [default: none]
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
    #[command(flatten)]
    home: HomeArgs,
}

/// What `fetch` takes.
#[derive(Args)]
pub(crate) struct FetchArgs {
    /// The grant: USER/IMAGE, the title, or the first letters of its id
    grant: String,
    #[command(flatten)]
    home: HomeArgs,
}

pub(crate) async fn request(args: RequestArgs, global: &Global) -> Result<(), Failure> {
    let mut here = Here::at(&args.home, global).await?;
    let entry = offer::offered(&here, &args.image).await?;
    if entry.owner.key == here.me.key {
        return Err(Failure::usage("this picture is your own"));
    }
    let (owner, image) = (entry.owner.key, entry.image);
    let asked = here
        .person
        .request(owner, image, args.views, &args.note)
        .await;
    let request = asked.map_err(failed)?.to_string();
    if here.is_json {
        here.page.json(&json!({
            "request": request,
            "owner": say::who_json(&entry.owner),
            "image": image.to_string(),
            "title": say::title(&entry.offer.title),
            "views": args.views,
        }))?;
    } else {
        let title = say::title(&entry.offer.title);
        let views = say::views(args.views);
        let id = name::short(&request);
        here.page.line(&format!(
            "asked {} for {views} of {title} ({id})",
            entry.owner.handle
        ))?;
        note("`grants` shows the answer; the request waits for 30 days if the owner is away");
    }
    here.leave().await;
    Ok(())
}

pub(crate) async fn fetch(args: FetchArgs, global: &Global) -> Result<(), Failure> {
    let mut here = Here::reaching(&args.home, global).await?;
    let grant = here.grant(&args.grant, GrantSide::Viewer).await?;
    if !matches!(grant.state, State::Approved | State::Active) {
        return Err(refuse(format!(
            "there is nothing to fetch: {}",
            say::end(&grant, grant.state)
        )));
    }
    let bytes = here.fetch(&grant).await?;
    if here.is_json {
        let mut value = say::grant_json(&here.again(grant.request).await?);
        if let Some(fields) = value.as_object_mut() {
            fields.insert("bytes".to_owned(), bytes.into());
        }
        here.page.json(&value)?;
    } else {
        let title = say::title(&grant.title);
        let size = match bytes {
            0 => "it was here already".to_owned(),
            bytes => show::bytes(bytes),
        };
        here.page.line(&format!(
            "{title} is here, sealed and hidden in its cover: {size}"
        ))?;
        let name = say::name_of(&grant);
        note(&format!(
            "`view {name} -o FILE` looks at it, and spends a view"
        ));
    }
    here.leave().await;
    Ok(())
}
