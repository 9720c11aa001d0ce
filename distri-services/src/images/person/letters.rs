//! What people write to each other, on this side: letters wait in the profile until the cloud has
//! them, and in the cloud until the profile has them.

use distri::{Code, Error, Result, id::PublicKey};

use super::{
    Person, PersonEvent, is_away,
    kept::{Asked, Given, Outcome, Outgoing},
    now_ms,
    profile::Shelf,
};
use crate::{
    images::record::{
        Approval, Decision, LetterId, Message, OpenLetter, Rekeyed, Request, SealedLetter, Verdict,
    },
    permissions::{Randomness, RequestId},
};

/// Requests that wait for a decision, at most; and of one person. Others are not kept: whoever floods
/// an inbox fills no disk.
const WAITING_MAX: usize = 1000;
const WAITING_OF_ONE_MAX: usize = 64;

/// The id of the letter of that kind about `request`, so that one that is written again after a crash
/// is the same letter.
pub(super) fn letter_id(kind: &str, request: RequestId, n: u64) -> LetterId {
    let mut hasher = blake3::Hasher::new_derive_key("distri/images/letter-id/v1");
    hasher.update(kind.as_bytes());
    hasher.update(request.as_array());
    hasher.update(&n.to_be_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    LetterId::from_array(id)
}

/// Random bytes of the system.
pub(super) fn randomness() -> Result<Randomness> {
    Randomness::of_system()
        .map_err(|error| Error::internal("the system has no random bytes", error))
}

impl Person {
    /// Puts a letter into the outbox, unless it is there.
    pub(super) async fn post(&self, id: LetterId, to: PublicKey, message: Message) -> Result<()> {
        let profile = &self.inner.profile;
        let name = id.to_string();
        if profile
            .load::<Outgoing>(Shelf::Outbox, &name)
            .await?
            .is_some()
        {
            return Ok(());
        }
        let key = self.user(to).await?.sealing;
        let from = profile.user();
        let letter = SealedLetter::seal(id, from, to, &key, message, &mut randomness()?)?;
        profile
            .save(Shelf::Outbox, &name, &Outgoing { letter })
            .await
    }

    /// Sends what is in the outbox. What the cloud has no room for now stays; what it refuses for
    /// good is removed.
    pub(super) async fn flush(&self) -> Result<()> {
        let profile = &self.inner.profile;
        for Outgoing { letter } in profile.all(Shelf::Outbox).await? {
            let (id, to) = (letter.id.to_string(), letter.to);
            match self.inbox_client().send(letter, None).await {
                Ok(()) => {}
                Err(error) if error.code() == Code::Busy => continue,
                Err(error) if is_away(&error) => return Err(error),
                Err(error) => {
                    let event = PersonEvent::LetterRefused {
                        to,
                        why: error.to_string(),
                    };
                    self.inner.events.tell(event);
                }
            }
            profile.forget(Shelf::Outbox, &id).await?;
        }
        Ok(())
    }

    /// Reads what others have written: each letter is in the profile before the cloud forgets it.
    pub(super) async fn read_letters(&self) -> Result<()> {
        let (inbox, me) = (self.inbox_client(), self.key());
        let mut cursor = None;
        loop {
            let received = inbox.receive(cursor).await?;
            let mut read = Vec::new();
            for arrived in &received.letters {
                cursor = Some(arrived.cursor);
                match arrived.letter.open(me, self.inner.profile.sealing()) {
                    Ok(letter) => self.take(letter).await?,
                    Err(error) => {
                        let why = distri::error::chain(&error);
                        self.inner.events.tell(PersonEvent::LetterUnread { why });
                    }
                }
                read.push(arrived.letter.id);
            }
            if !read.is_empty() {
                inbox.acknowledge(read).await?;
            }
            if !received.more {
                return Ok(());
            }
        }
    }

    async fn take(&self, letter: OpenLetter) -> Result<()> {
        let OpenLetter { from, message, .. } = letter;
        match message {
            Message::Request(request) => self.take_request(from, request).await,
            Message::Decision(decision) => self.take_decision(from, decision).await,
            Message::Rekeyed(rekeyed) => self.take_rekeyed(from, rekeyed).await,
        }
    }

    async fn take_request(&self, from: PublicKey, request: Request) -> Result<()> {
        let profile = &self.inner.profile;
        let id = request.request;
        if profile.load::<Given>(Shelf::Given, &id).await?.is_some() {
            // Read before, or another with an id that is taken.
            return Ok(());
        }
        if !self.offers(request.image).await? {
            return Ok(());
        }
        let all: Vec<Given> = profile.all(Shelf::Given).await?;
        let waiting: Vec<_> = all.iter().filter(|given| given.reply.is_none()).collect();
        let of_one = waiting.iter().filter(|given| given.from == from).count();
        if waiting.len() >= WAITING_MAX || of_one >= WAITING_OF_ONE_MAX {
            let why = format!("too many requests wait, {of_one} of them by {from}");
            self.inner.events.tell(PersonEvent::LetterUnread { why });
            return Ok(());
        }
        let given = Given {
            from,
            request,
            at_ms: now_ms(),
            reply: None,
        };
        profile.save(Shelf::Given, &id, &given).await?;
        self.inner
            .events
            .tell(PersonEvent::Requested { request: id });
        Ok(())
    }

    async fn take_decision(&self, from: PublicKey, decision: Decision) -> Result<()> {
        let profile = &self.inner.profile;
        let request = decision.request;
        let Some(mut asked) = profile.load::<Asked>(Shelf::Asked, &request).await? else {
            return Ok(());
        };
        if from != asked.owner || !matches!(asked.outcome, Outcome::Waiting) {
            return Ok(());
        }
        asked.outcome = match decision.verdict {
            Verdict::Rejected { why } => Outcome::Rejected { why },
            Verdict::Approved(approval) => {
                if let Err(what) = self.fits(&asked, &approval) {
                    let why = format!("the approval of {request} is for another {what}");
                    self.inner.events.tell(PersonEvent::LetterUnread { why });
                    return Ok(());
                }
                Outcome::Approved(approval)
            }
        };
        profile.save(Shelf::Asked, &request, &asked).await?;
        self.inner.events.tell(PersonEvent::Decided { request });
        self.inner.following.begin();
        Ok(())
    }

    /// Says whether an approval answers what was asked.
    fn fits(&self, asked: &Asked, approval: &Approval) -> Result<(), &'static str> {
        let core = &approval.core;
        let viewer = asked.viewer.identity().map(|viewer| viewer.public());
        for (is_so, what) in [
            (core.request == asked.request, "request"),
            (core.image == asked.image, "image"),
            (Some(core.viewer) == viewer, "viewer"),
            (
                core.viewer_sealing == self.inner.profile.sealing().public(),
                "viewer's key",
            ),
        ] {
            if !is_so {
                return Err(what);
            }
        }
        Ok(())
    }

    async fn take_rekeyed(&self, from: PublicKey, rekeyed: Rekeyed) -> Result<()> {
        let profile = &self.inner.profile;
        let request = rekeyed.request;
        let Some(mut asked) = profile.load::<Asked>(Shelf::Asked, &request).await? else {
            return Ok(());
        };
        if from != asked.owner {
            return Ok(());
        }
        let Outcome::Approved(approval) = &mut asked.outcome else {
            return Ok(());
        };
        if rekeyed.envelope.epoch <= approval.envelope.epoch {
            return Ok(());
        }
        approval.envelope = rekeyed.envelope;
        profile.save(Shelf::Asked, &request, &asked).await?;
        self.inner.events.tell(PersonEvent::Changed { request });
        Ok(())
    }
}
