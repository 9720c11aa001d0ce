//! A profile whose files were damaged on disk: whatever is in them, nothing panics, and a file that cannot be
//! read is named.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use distri::{
    Error,
    testing::{Dice, simulate},
};
use distri_services::{
    images::{
        delivery::Shelf as _,
        person::{Answer, PersonEvent, Profile, ProfileShelf, Told},
    },
    permissions::RequestId,
};

use crate::sharing::{Someone, World};

/// What was done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// It ends somewhere in its middle.
    Cut,
    /// One bit is another.
    Bit,
    /// A part of it is noise.
    Noise,
    /// All of it is noise.
    AllNoise,
    /// It is JSON of something else.
    Other(&'static str),
}

const DAMAGES: [Damage; 12] = [
    Damage::Cut,
    Damage::Cut,
    Damage::Bit,
    Damage::Bit,
    Damage::Bit,
    Damage::Noise,
    Damage::AllNoise,
    Damage::Other(""),
    Damage::Other("null"),
    Damage::Other("{}"),
    Damage::Other("[1, \"two\"]"),
    Damage::Other("{\"request\": \"\", \"cursor\": -1, \"handle\": \"\\u0000\"}"),
];

impl Damage {
    fn is_done_to(self, file: &mut Vec<u8>, dice: &mut Dice) {
        match self {
            Self::Cut => file.truncate(dice.below(file.len())),
            Self::Bit => {
                let at = dice.below(file.len());
                file[at] ^= 1 << dice.below(8);
            }
            Self::Noise => {
                let at = dice.below(file.len());
                let end = (at + 16).min(file.len());
                file[at..end].fill_with(|| dice.below(256) as u8);
            }
            Self::AllNoise => file.fill_with(|| dice.below(256) as u8),
            Self::Other(text) => *file = text.into(),
        }
    }

    /// No record can be read from it.
    fn is_unreadable(self) -> bool {
        matches!(self, Self::Cut | Self::AllNoise | Self::Other(_))
    }
}

/// All that went wrong while everything was done that reads the profile.
async fn troubles(someone: &Someone, requests: &[RequestId]) -> Vec<String> {
    let person = &someone.person;
    let mut troubles = Vec::new();
    let mut tell = |error: Error| troubles.push(distri::error::chain(&error));
    person.me().await.map(drop).unwrap_or_else(&mut tell);
    let grants = person.known_grants().await;
    grants.map(drop).unwrap_or_else(&mut tell);
    person.inbox().await.map(drop).unwrap_or_else(&mut tell);
    let images = person.own_images().await;
    images.map(drop).unwrap_or_else(&mut tell);
    for request in requests {
        let cover = person.cover(*request).await;
        cover.map(drop).unwrap_or_else(&mut tell);
        let view = person.view(*request, "damaged").await;
        view.map(drop).unwrap_or_else(&mut tell);
        let looked = person.looked(*request).await;
        looked.unwrap_or_else(&mut tell);
        let audit = person.audit(*request).await;
        audit.map(drop).unwrap_or_else(&mut tell);
        let rekeyed = person.rekey(*request).await;
        rekeyed.unwrap_or_else(&mut tell);
    }
    let older = person.older_keys().await;
    older.map(drop).unwrap_or_else(&mut tell);
    person.settle().await.unwrap_or_else(&mut tell);
    let followed = tokio::time::timeout(Duration::from_secs(1), person.follow());
    followed.await.unwrap_err();
    if person.log().cursor() > 0
        && let Told::Events { events, .. } = person.log().after(0).await
    {
        for event in events {
            if let PersonEvent::Failed { why } | PersonEvent::LetterUnread { why } = event {
                troubles.push(why);
            }
        }
    }
    troubles
}

fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copied(&path, &copy);
        } else {
            std::fs::copy(&path, &copy).unwrap();
        }
    }
}

/// The files of a profile that are neither locks nor keys, and their paths in it.
fn records(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|ending| ending != "lock" && ending != "key")
            {
                found.push(path);
            }
        }
    }
    let mut found: Vec<PathBuf> = found
        .iter()
        .map(|path| path.strip_prefix(folder).unwrap().to_owned())
        .collect();
    found.sort();
    found
}

#[test]
fn a_profile_with_a_damaged_file_panics_nowhere_and_names_what_cannot_be_read() {
    simulate(1..=1, async |sim| {
        let world = World::new(&sim).await;
        let (anna, bob) = (world.someone("anna").await, world.someone("bob").await);
        let image = anna.publishes("A cat").await;
        let owner = anna.person.key();
        let request = bob.person.request(owner, image, 90, "").await.unwrap();
        let other = bob.person.request(owner, image, 2, "again").await.unwrap();
        anna.person.settle().await.unwrap();
        anna.approves(request, 90).await;
        bob.person.settle().await.unwrap();
        bob.fetched(request).await;
        // All that is heard, a view that is not over, and a letter that is not gone.
        for person in [&anna.person, &bob.person] {
            let followed = tokio::time::timeout(Duration::from_secs(1), person.follow());
            followed.await.unwrap_err();
        }
        bob.person.view(request, "first").await.unwrap();
        world.cloud_off();
        let why = "no".to_owned();
        anna.person
            .decide(other, Answer::Reject { why })
            .await
            .unwrap();
        let folders = [anna.gone().await, bob.gone().await];
        world.cloud_on().await;

        let mut dice = sim.dice();
        let mut kinds = std::collections::BTreeSet::new();
        for folder in &folders {
            let twice = |path: PathBuf| [path.clone(), path];
            for path in records(folder).into_iter().flat_map(twice) {
                let damage = DAMAGES[dice.below(DAMAGES.len())];
                let copy = folder.with_extension("damaged");
                copied(folder, &copy);
                let mut file = std::fs::read(copy.join(&path)).unwrap();
                damage.is_done_to(&mut file, &mut dice);
                std::fs::write(copy.join(&path), &file).unwrap();

                let someone = world.started(copy.clone()).await;
                let parcels = ProfileShelf::new(someone.person.profile().clone());
                let grants = records(&copy.join("parcels"));
                let mut told = Vec::new();
                for grant in grants {
                    let grant = grant
                        .file_stem()
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .parse()
                        .unwrap();
                    let parcel = parcels.parcel(grant);
                    told.extend(parcel.err().map(|error| distri::error::chain(&error)));
                }
                told.extend(troubles(&someone, &[request, other]).await);

                let name = path.file_name().unwrap().to_str().unwrap();
                let is_record = path.extension().is_some_and(|ending| ending == "json");
                // The cloud's keys are read when it is away only; who has joined no cloud has no name.
                let may_be_so = name == "cloud.json"
                    || (name == "profile.json" && damage == Damage::Other("{}"));
                if is_record && damage.is_unreadable() && !may_be_so {
                    assert!(
                        told.iter().any(|trouble| trouble.contains(name)),
                        "{damage:?} of {} was not told: {told:#?}",
                        path.display()
                    );
                }
                kinds.insert(path.parent().unwrap().to_owned());
                someone.gone().await;
                std::fs::remove_dir_all(&copy).unwrap();
            }
        }
        let kinds: Vec<&str> = kinds.iter().map(|kind| kind.to_str().unwrap()).collect();
        let all = [
            "", "asked", "files", "given", "images", "looks", "outbox", "parcels", "users",
        ];
        assert_eq!(kinds, all);
    });
}

#[test]
fn a_key_that_is_damaged_is_named_and_no_other_is_made_in_its_place() {
    simulate(1..=1, async |sim| {
        let folder = tempfile::tempdir().unwrap();
        drop(Profile::open(folder.path()).await.unwrap());
        let mut dice = sim.dice();
        for name in ["user.key", "device.key", "sealing.key"] {
            let path = folder.path().join(name);
            let whole = std::fs::read(&path).unwrap();
            let mut long = whole.clone();
            long.extend([0; 40]);
            for damaged in [whole[..dice.below(32)].to_vec(), long] {
                std::fs::write(&path, &damaged).unwrap();

                let refused = Profile::open(folder.path()).await.unwrap_err();

                let told = distri::error::chain(&refused);
                assert!(told.contains(name), "{told}");
                assert_eq!(std::fs::read(&path).unwrap(), damaged);
            }
            std::fs::write(&path, &whole).unwrap();
        }
    });
}
