//! The owner's side: requests, decisions, and what became of grants; `changing` is how they are changed.
//!
//! A decision is made once: all of it (the grant's keys, the stego image, the signed operation) is in
//! the profile before the ledger hears of it, the ledger has it before the viewer does, and each step
//! can be done again.

use distri::{Error, Result, id::PublicKey, identity::Identity};

use super::{
    Person, PersonError, PersonEvent, Who, is_away,
    kept::{Allowed, Given, KeptParcel, Known, Outcome, Reply, Seed},
    letters::{letter_id, randomness},
    profile::Shelf,
};
use crate::{
    images::{
        disk,
        media::{NOTE_MAX, clean_text},
        record::{Approval, Decision, Manifest, Message, Verdict},
    },
    permissions::{
        self, AuditError, Canonical, CloudKeys, Dated, Deed, Draft, GrantStatus, ImageId,
        LedgerError, Parties, RequestId, sign, verify_audit,
    },
    stego::{HideOptions, JpegPast, Key, Settings},
};

/// A request that waits for a decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// Its id.
    pub request: RequestId,
    /// Who asks.
    pub from: Who,
    /// For which image.
    pub image: ImageId,
    /// What that is called.
    pub title: String,
    /// How often.
    pub views: u32,
    /// A word.
    pub note: String,
    /// When it arrived; milliseconds since 1970.
    pub at_ms: u64,
}

/// How often, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Views, those that are used included.
    pub views: u32,
    /// Until when; milliseconds since 1970.
    pub expires_ms: u64,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Approve {
        /// How often, and until when.
        terms: Terms,
        /// An image file in which the picture is hidden; without one, a picture is drawn.
        cover: Option<Vec<u8>>,
    },
    /// No.
    Reject {
        /// Why, if the person says.
        why: String,
    },
}

/// Something that was done with a grant, as the ledger's audit proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// When; milliseconds since 1970, by the directory's clock.
    pub at_ms: u64,
    /// Who did it: the owner, the viewer, or the cloud.
    pub who: String,
    /// What, in words: `looked (1 of 3)`.
    pub what: String,
    /// The signature of whoever did it.
    pub proof: Option<String>,
}

impl Person {
    /// Requests that wait for a decision, the oldest first.
    ///
    /// # Errors
    /// When the profile cannot be read.
    pub async fn inbox(&self) -> Result<Vec<Waiting>> {
        let all: Vec<Given> = self.inner.profile.all(Shelf::Given).await?;
        let mut waiting = Vec::new();
        for Given {
            from,
            request,
            at_ms,
            reply,
        } in all
        {
            if reply.is_some() {
                continue;
            }
            waiting.push(Waiting {
                request: request.request,
                from: self.who(from).await?,
                title: self.title_of(request.image).await?,
                image: request.image,
                views: request.views,
                note: request.note,
                at_ms,
            });
        }
        waiting.sort_by_key(|waiting| waiting.at_ms);
        Ok(waiting)
    }

    /// Who has this key, as far as is known.
    pub(super) async fn who(&self, key: PublicKey) -> Result<Who> {
        let known = self.inner.profile.known_user(key).await?;
        let handle = match known {
            Some(known) => known.unchecked().handle.clone(),
            None => self.user(key).await?.handle,
        };
        Ok(Who { key, handle })
    }

    /// Decides a request, once. The same decision again changes nothing. What of it the cloud must be
    /// told is told when it is back, if it is away.
    ///
    /// # Errors
    /// [`PersonError::NoRequest`], [`PersonError::Answered`]; [`crate::stego::Error`] if the picture
    /// does not fit into the cover; [`LedgerError`].
    pub async fn decide(&self, request: RequestId, answer: Answer) -> Result<()> {
        let _gate = self.inner.gate.lock().await?;
        let profile = &self.inner.profile;
        let given = profile.load::<Given>(Shelf::Given, &request).await?;
        let mut given = given.ok_or(PersonError::NoRequest { request })?;
        if let Some(reply) = &given.reply {
            let same = match (reply, &answer) {
                (Reply::Rejected { .. }, Answer::Reject { .. }) => true,
                (Reply::Approved(allowed), Answer::Approve { terms, .. }) => {
                    let first = &allowed.first.body;
                    (first.views, first.expires_ms) == (terms.views, terms.expires_ms)
                }
                _ => false,
            };
            if !same {
                return Err(PersonError::Answered { request }.into());
            }
        } else {
            given.reply = Some(match answer {
                Answer::Reject { why } => Reply::Rejected {
                    why: clean_text(&why, NOTE_MAX),
                    told: false,
                },
                Answer::Approve { terms, cover } => {
                    Reply::Approved(Box::new(self.allow(&given, terms, cover).await?))
                }
            });
            profile.save(Shelf::Given, &request, &given).await?;
        }
        match self.carry_out(given).await {
            Err(error) if is_away(&error) => Ok(()),
            done => done,
        }
    }

    /// Makes a grant: all of it but the telling.
    async fn allow(&self, given: &Given, terms: Terms, cover: Option<Vec<u8>>) -> Result<Allowed> {
        let profile = &self.inner.profile;
        let request = given.request.clone();
        let picture = profile.read_file(profile.picture(request.image)).await?;
        let picture = picture.ok_or_else(|| PersonError::NotOffered {
            image: request.image.to_string(),
        })?;
        let cloud = self.cloud_keys().await?;
        let (stego, allowed) =
            disk(move || make(&request, terms, &picture, cover, &cloud)).await??;
        profile
            .write_file(profile.stego(allowed.core().grant), stego)
            .await?;
        Ok(allowed)
    }

    /// The cloud's keys; those that were told last, if it is away.
    pub(super) async fn cloud_keys(&self) -> Result<CloudKeys> {
        let profile = &self.inner.profile;
        match self.ledger().cloud().await {
            Ok(keys) => {
                profile.save_cloud(&keys).await?;
                Ok(keys)
            }
            Err(error) if is_away(&error) => profile.cloud().await?.ok_or(error),
            Err(error) => Err(error),
        }
    }

    /// Goes on with decisions and changes that were begun.
    pub(super) async fn resume_answers(&self) -> Result<()> {
        self.send_entries().await?;
        self.post_requests().await?;
        let all: Vec<Given> = self.inner.profile.all(Shelf::Given).await?;
        for given in all {
            let is_done = match &given.reply {
                None => true,
                Some(Reply::Rejected { told, .. }) => *told,
                Some(Reply::Approved(allowed)) => {
                    allowed.registered && allowed.told && allowed.pending.is_none()
                }
            };
            if is_done {
                continue;
            }
            match self.carry_out(given).await {
                // What is refused for good is undone by then, and told.
                Err(error) if !is_away(&error) => {
                    let why = error.to_string();
                    self.inner.events.tell(PersonEvent::Failed { why });
                }
                done => done?,
            }
        }
        Ok(())
    }

    /// Does what is left of an answer: first the ledger, then the letter, then changes since.
    pub(super) async fn carry_out(&self, mut given: Given) -> Result<()> {
        let profile = &self.inner.profile;
        let request = given.request.request;
        let verdict = match &mut given.reply {
            None => return Ok(()),
            Some(Reply::Rejected { told: true, .. }) => return Ok(()),
            Some(Reply::Rejected { why, .. }) => Verdict::Rejected { why: why.clone() },
            Some(Reply::Approved(allowed)) => {
                if !allowed.registered {
                    let made = self
                        .ledger()
                        .grant(allowed.first.clone(), allowed.share.clone());
                    match made.await {
                        Ok(status) => allowed.known = Some(Known::from(&status)),
                        Err(error) if is_away(&error) => return Err(error),
                        Err(error) => {
                            // It never was: the request waits for a decision again.
                            let stego = profile.stego(allowed.core().grant);
                            given.reply = None;
                            profile.save(Shelf::Given, &request, &given).await?;
                            profile.remove_file(stego).await?;
                            return Err(error);
                        }
                    }
                    let parcel = KeptParcel {
                        request,
                        viewer: allowed.core().viewer,
                        manifest: allowed.manifest.clone(),
                    };
                    profile
                        .save(Shelf::Parcels, &allowed.core().grant, &parcel)
                        .await?;
                    allowed.registered = true;
                    profile.save(Shelf::Given, &request, &given).await?;
                    self.inner.following.begin();
                    return Box::pin(self.carry_out(given)).await;
                }
                if allowed.told {
                    return self.carry_change(given).await;
                }
                Verdict::Approved(Box::new(Approval {
                    core: allowed.core().clone(),
                    envelope: allowed.envelope.clone(),
                    views: allowed.first.body.views,
                    expires_ms: allowed.first.body.expires_ms,
                }))
            }
        };
        let decision = Message::Decision(Decision { request, verdict });
        self.post(letter_id("decision", request, 0), given.from, decision)
            .await?;
        match &mut given.reply {
            Some(Reply::Rejected { told, .. }) => *told = true,
            Some(Reply::Approved(allowed)) => allowed.told = true,
            None => {}
        }
        profile.save(Shelf::Given, &request, &given).await?;
        self.flush().await?;
        self.carry_change(given).await
    }

    pub(super) async fn status_of(&self, given: &Given) -> Result<GrantStatus> {
        let mut given = given.clone();
        let (owner, allowed) = parts(&mut given)?;
        self.ledger()
            .status(self.ask(allowed.core().grant, &owner))
            .await
    }

    /// What was done with a grant, as the ledger proves it: of the person's own grants and of those
    /// given. The whole chain is checked, each signature in it too.
    ///
    /// # Errors
    /// [`PersonError::FalseAudit`], [`PersonError::NoRequest`], [`PersonError::NotApproved`].
    pub async fn audit(&self, request: RequestId) -> Result<Vec<Audited>> {
        let (core, key) = match self
            .inner
            .profile
            .load::<Given>(Shelf::Given, &request)
            .await?
        {
            Some(mut given) => {
                let (owner, allowed) = parts(&mut given)?;
                (allowed.core().clone(), owner)
            }
            None => {
                let asked = self.asked(request).await?;
                let Outcome::Approved(approval) = &asked.outcome else {
                    return Err(PersonError::NotApproved { request, why: None }.into());
                };
                let key = asked.viewer.identity();
                let key = key.ok_or_else(|| PersonError::Damaged {
                    what: "the viewer's key".into(),
                })?;
                (approval.core.clone(), key)
            }
        };
        let mut entries: Vec<Dated> = Vec::new();
        let head = loop {
            let after = entries.last().map(|dated| dated.entry.index);
            let page = self
                .ledger()
                .audit(self.ask(core.grant, &key), after)
                .await?;
            let is_last = page.entries.is_empty();
            entries.extend(page.entries);
            if is_last
                || entries
                    .last()
                    .is_some_and(|last| last.entry.index >= page.head.index)
            {
                break page.head;
            }
        };
        verify_audit(&core, &entries, &head).map_err(|error: AuditError| {
            let what = error.to_string();
            PersonError::FalseAudit { request, what }
        })?;
        Ok(entries.iter().map(audited).collect())
    }
}

/// The owner's key of a grant, and the grant.
pub(super) fn parts(given: &mut Given) -> Result<(Identity, &mut Allowed)> {
    let request = given.request.request;
    let Some(Reply::Approved(allowed)) = &mut given.reply else {
        return Err(PersonError::NotApproved { request, why: None }.into());
    };
    let owner = allowed.owner.identity();
    let owner = owner.ok_or_else(|| PersonError::Damaged {
        what: "the owner's key".into(),
    })?;
    Ok((owner, allowed))
}

/// Seals the picture, hides it in the cover and signs the grant. Takes as long as it takes.
fn make(
    request: &crate::images::record::Request,
    terms: Terms,
    picture: &[u8],
    cover: Option<Vec<u8>>,
    cloud: &CloudKeys,
) -> Result<(Vec<u8>, Allowed)> {
    let mut randomness = randomness()?;
    let seed = randomness.secret();
    let owner = Identity::from_seed(&seed);
    let parties = Parties {
        image: request.image,
        request: request.request,
        owner: owner.public(),
        viewer: request.viewer,
        viewer_sealing: request.sealing,
        not_before_ms: 0,
    };
    let failed = |error| unopenable(request.request, &error);
    let draft = Draft::new(parties, &mut randomness).map_err(failed)?;
    let sealed = draft.seal(picture).map_err(failed)?;
    let cover = match cover {
        Some(cover) => cover,
        None => super::super::cover::drawn(sealed.ciphertext.len(), &mut randomness)?,
    };
    let options = HideOptions {
        scale_cover: true,
        jpeg: JpegPast::Keep,
        // It is as random as can be.
        uncompressed: true,
        ..HideOptions::default()
    };
    let key = Key::from_bytes(*sealed.place());
    let hidden = Settings::default().hide(&cover, &sealed.ciphertext, &key, &options)?;
    let manifest = Manifest::of(&hidden.image)?;
    let (core, secrets) = sealed.granted(&hidden.image, manifest.hash());
    let keys = (cloud.epoch, cloud.sealing);
    let split = secrets
        .split(&core, 0, keys, &mut randomness)
        .map_err(failed)?;
    let Terms { views, expires_ms } = terms;
    let grant = permissions::Grant {
        core,
        seq: 1,
        epoch: 0,
        views,
        expires_ms,
        share: split.share.hash(),
    };
    let allowed = Allowed {
        owner: Seed::new(&seed),
        secrets: secrets.to_bytes(),
        manifest,
        first: sign(grant, &owner),
        share: split.share,
        envelope: split.envelope,
        registered: false,
        told: false,
        seq: 1,
        epoch: 0,
        views,
        expires_ms,
        revoked: false,
        pending: None,
        known: None,
        heard: None,
    };
    Ok((hidden.image, allowed))
}

pub(super) fn unopenable(request: RequestId, error: &dyn std::error::Error) -> Error {
    let what = distri::error::chain(error);
    PersonError::Unopenable { request, what }.into()
}

fn audited(dated: &Dated) -> Audited {
    let (who, what, proof) = match &dated.entry.deed {
        Deed::Granted(op) => {
            let what = format!("granted {} views", op.body.views);
            ("owner", what, Some(op.signature))
        }
        Deed::ViewsSet(op) => {
            let what = format!("set the views to {}", op.body.views);
            ("owner", what, Some(op.signature))
        }
        Deed::Rekeyed(op) => {
            let what = format!("gave new keys, for {} views", op.body.views);
            ("owner", what, Some(op.signature))
        }
        Deed::Revoked(op) => ("owner", "revoked the grant".into(), Some(op.signature)),
        Deed::Redeemed { redeem, view, of } => {
            let what = format!("looked ({view} of {of})");
            ("viewer", what, Some(redeem.signature))
        }
        Deed::Acknowledged(op) => ("viewer", "closed the picture".into(), Some(op.signature)),
        Deed::Exhausted => (
            "cloud",
            "deleted its half of the key: all views used".into(),
            None,
        ),
        Deed::Expired => ("cloud", "deleted its half of the key: expired".into(), None),
    };
    Audited {
        at_ms: dated.at_ms,
        who: who.to_owned(),
        what,
        proof: proof.map(|signature| signature.to_string()),
    }
}

/// What the ledger says when it will never say otherwise.
pub(super) fn final_refusal(error: &Error) -> Option<LedgerError> {
    error.details::<LedgerError>().filter(LedgerError::is_final)
}
